package shm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// geometrySeals make a mapping safe: nobody can shrink the file under it (SIGBUS) or grow it.
const geometrySeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// CreateSealed makes a memfd of size bytes, all zero and sparse, with its size sealed.
func CreateSealed(name string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, geometrySeals); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return f, nil
}

// CheckSealed tells whether fd is a memfd of exactly size bytes which nobody can resize.
func CheckSealed(fd int, size int64) error {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if seals&geometrySeals != geometrySeals {
		return fmt.Errorf("shm: seals %#x, want %#x", seals, geometrySeals)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Size != size {
		return fmt.Errorf("shm: size %d, want %d", st.Size, size)
	}
	return nil
}

// Map maps size bytes of fd, shared, readable and writable. The descriptor may be closed after.
func Map(fd, size int) ([]byte, error) {
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	return mem, os.NewSyscallError("mmap", err)
}

// Unmap undoes Map. No view of the memory may be used afterwards.
func Unmap(mem []byte) error { return os.NewSyscallError("munmap", unix.Munmap(mem)) }
