package trace

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Event is a record and who made it. Seq numbers the events of a trace in the order of their ends.
type Event struct {
	Record
	PID, TID uint32
	Seq      int
	File     *File
}

// File is one recorded process image, with the children that it forked.
type File struct {
	Header
	Path    string
	f       *os.File
	threads []*thread
	Torn    int // records that a dying process did not finish
}

// thread is the records of one thread, in the order of their ends.
type thread struct {
	file     *File
	pid, tid uint32
	segments []int64 // offsets in the file
	made     []int64

	buf   []byte // the segment being read; nil: the next one is not loaded
	at    int
	event Event // the next one, once loaded
	place [2]Record
	more  []Record // of place, that come after event
	key   int64    // its end
}

// Trace is a recorded history: one file, or all of a directory.
type Trace struct {
	Files []*File
}

// Open reads the heads of all segments. A directory means all files *.sdt in it.
func Open(path string) (*Trace, error) {
	paths := []string{path}
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if st.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(path, "*.sdt")); err != nil {
			return nil, err
		} else if len(paths) == 0 {
			return nil, fmt.Errorf("%s: no trace (*.sdt) in this directory", path)
		}
	}
	t := &Trace{}
	for _, p := range paths {
		f, err := open(p)
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		t.Files = append(t.Files, f)
	}
	return t, nil
}

// Close closes the files.
func (t *Trace) Close() {
	for _, f := range t.Files {
		f.f.Close()
	}
}

// Lost is how many events found no room in their files.
func (t *Trace) Lost() (n uint64) {
	for _, f := range t.Files {
		n += f.Lost
	}
	return n
}

// Torn is how many records dying processes did not finish; valid after a walk.
func (t *Trace) Torn() (n int) {
	for _, f := range t.Files {
		n += f.Torn
	}
	return n
}

func open(path string) (file *File, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file = &File{Path: path, f: f}
	if err := file.index(); err != nil {
		f.Close()
		return nil, err
	}
	return file, nil
}

func (f *File) index() error {
	st, err := f.f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, SegmentSize)
	if _, err := io.ReadFull(f.f, head); err != nil {
		return fmt.Errorf("not a whole header: %w", err)
	}
	if err := f.decode(head); err != nil {
		return err
	}
	if want := int64(f.Limit) * SegmentSize; st.Size() != want {
		return fmt.Errorf("truncated: %d bytes of %d", st.Size(), want)
	}
	if at := nonZero(head[headerCheck+20:]); at >= 0 {
		return fmt.Errorf("damaged at byte %d: not zero", headerCheck+20+at)
	}
	if (f.Lost == 0) != (f.LostNS == 0) {
		return fmt.Errorf("damaged: %d events lost, the first at %d", f.Lost, f.LostNS)
	}
	last := map[[2]uint32]*thread{}
	for at := int64(SegmentSize); ; at += SegmentSize {
		if at, err = f.nextData(at); err != nil || at >= st.Size() {
			return err
		}
		if _, err := f.f.ReadAt(head[:RecordSize], at); err != nil {
			return err
		}
		if nonZero(head[:RecordSize]) < 0 { // taken by a process that died at once, or never taken
			if _, err := f.f.ReadAt(head, at); err != nil {
				return err
			}
			if i := nonZero(head); i >= 0 {
				return fmt.Errorf("damaged at byte %d: not zero", at+int64(i))
			}
			continue
		}
		var s segment
		if err := s.decode(head[:RecordSize]); err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		if int64(s.index) != at/SegmentSize {
			return fmt.Errorf("byte %d: this is segment %d: segments were moved", at, s.index)
		}
		key := [2]uint32{s.pid, s.tid}
		t := last[key]
		if s.turn == 0 {
			t = &thread{file: f, pid: s.pid, tid: s.tid}
			last[key] = t
			f.threads = append(f.threads, t)
		}
		if t == nil || int(s.turn) != len(t.segments) {
			return fmt.Errorf("byte %d: segment %d of thread %d follows no segment %d", at, s.turn, s.tid, int(s.turn)-1)
		}
		t.segments, t.made = append(t.segments, at), append(t.made, s.made)
	}
}

// nextData skips holes of the file: segments that were never used.
func (f *File) nextData(at int64) (int64, error) {
	data, err := unix.Seek(int(f.f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return int64(f.Limit) * SegmentSize, nil
	}
	if err != nil {
		return 0, err
	}
	return data - data%SegmentSize, nil
}

// nonZero is the place of the first byte that is not 0, or -1.
func nonZero(b []byte) int {
	if bytes.Equal(b, zeros[:len(b)]) {
		return -1
	}
	return bytes.IndexFunc(b, func(r rune) bool { return r != 0 })
}

var zeros [SegmentSize]byte

// load makes the thread's next record its event. It reports io.EOF after the last one.
func (t *thread) load() error {
	for len(t.more) == 0 {
		if t.buf == nil {
			if len(t.segments) == 0 {
				return io.EOF
			}
			t.buf, t.at = make([]byte, SegmentSize), RecordSize
			if _, err := t.file.f.ReadAt(t.buf, t.segments[0]); err != nil {
				return err
			}
		}
		rest := t.buf[t.at:]
		if nonZero(rest) < 0 { // nothing was written from here on
			if len(rest) > placeSize && len(t.segments) > 1 {
				return t.fail("records are missing: a segment is not full and another follows")
			}
			t.next()
			continue
		}
		size := recordSize(rest)
		if size == 0 {
			if err := t.torn(rest[:placeSize]); err != nil {
				return err
			}
			continue
		}
		if size > len(rest) {
			return t.fail("a record that does not end in its segment")
		}
		var err error
		if t.more, err = decode(t.place[:0], rest[:size], t.made[0], &t.event.Record); err != nil {
			return t.fail(err.Error())
		}
		t.at += size
	}
	prev := t.event
	t.event.Record, t.more = t.more[0], t.more[1:]
	switch e := &t.event; {
	case e.Op == Names: // belongs to the record before
		if e.End = prev.End; prev.Op == 0 {
			e.End = e.Start
		}
	case e.Start > e.End || e.End < prev.End:
		return t.fail(fmt.Sprintf("time runs backwards: %s, after %s", span(&e.Record), span(&prev.Record)))
	case prev.Op != Names && e.Start < prev.End && e.Start > prev.Start:
		return t.fail(fmt.Sprintf("a thread does two things at a time: %s, after %s", span(&e.Record), span(&prev.Record)))
	}
	t.key = t.event.End
	return nil
}

// torn passes places that were taken and not finished: the thread was killed, in a signal handler if more
// follows. Zeros: nothing had been written; else a short record, or a whole one if no other begins in its
// second place.
func (t *thread) torn(place []byte) error {
	zero := nonZero(place) < 0
	if bytes.Count(place, []byte{0}) == placeSize-1 { // a time alone would be more
		return t.fail("not zero, and not a record")
	}
	t.file.Torn++
	t.at += placeSize
	for zero && nonZero(t.buf[t.at:t.at+placeSize]) < 0 {
		t.at += placeSize
	}
	rest := t.buf[t.at:]
	if zero || len(rest) == 0 {
		return nil
	}
	size := recordSize(rest)
	if size == 0 || size > len(rest) || binary.LittleEndian.Uint32(rest[wordAt+4:]) != check(rest[:size]) {
		t.at += placeSize
	}
	return nil
}

func (t *thread) next() {
	t.buf = nil
	t.segments, t.made = t.segments[1:], t.made[1:]
}

func (t *thread) fail(what string) error {
	return fmt.Errorf("%s: byte %d (thread %d): %s", t.file.Path, t.segments[0]+int64(t.at), t.tid, what)
}

func span(r *Record) string { return fmt.Sprintf("%s [%d, %d]", r.Op, r.Start, r.End) }

// order is the threads by the end of their next events.
type order []*thread

func (o order) Len() int           { return len(o) }
func (o order) Less(i, j int) bool { return o[i].key < o[j].key }
func (o order) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *order) Push(t any)        { *o = append(*o, t.(*thread)) }
func (o *order) Pop() any {
	old := *o
	t := old[len(old)-1]
	*o = old[:len(old)-1]
	return t
}

// Walk calls f for each event in the order of their ends. Memory: a segment for each thread that has
// begun and not ended, and 16 bytes for each segment.
func (t *Trace) Walk(f func(e *Event) error) error {
	var o order
	for _, file := range t.Files {
		file.Torn = 0
		for _, th := range file.threads {
			c := &thread{file: file, pid: th.pid, tid: th.tid, segments: th.segments, made: th.made, key: th.made[0]}
			o = append(o, c)
		}
	}
	heap.Init(&o)
	for seq, fresh := 0, false; len(o) > 0; {
		th := o[0]
		if fresh = th.buf == nil && th.event.Op == 0; !fresh {
			e := &th.event
			e.PID, e.TID, e.File, e.Seq = th.pid, th.tid, th.file, seq
			if err := f(e); err != nil {
				return err
			}
			seq++
		}
		switch err := th.load(); {
		case errors.Is(err, io.EOF):
			heap.Pop(&o)
		case err != nil:
			return err
		default:
			heap.Fix(&o, 0)
		}
	}
	return nil
}
