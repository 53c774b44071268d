package trace

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestStraceLines(t *testing.T) {
	s := &strace{waiting: map[uint32]string{}, began: map[uint32]int64{}}
	for _, tc := range []struct {
		line string
		want *call
	}{
		{`7 1.000002 read(3<TCP:[1.2.3.4:5->6.7.8.9:10]>, "a,)\"\1\00012\377"..., 4096) = 30 <0.000010>`,
			&call{tid: 7, name: "read", args: []string{"3<TCP:[1.2.3.4:5->6.7.8.9:10]>", `"a,)\"\1\00012\377"...`, "4096"}, start: 1e9 + 2000, end: 1e9 + 14000, result: 30}},
		{`[pid  8] 2.000000 recvfrom(3<socket:[12]>,  <unfinished ...>`, nil},
		{`9 2.100000 close(4<socket:[13]>) = -1 EBADF (Bad file descriptor)`,
			&call{tid: 9, name: "close", args: []string{"4<socket:[13]>"}, start: 2.1e9, result: -9}},
		{`[pid  8] 2.500000 <... recvfrom resumed>"x", 1, 0, NULL, NULL) = 1`,
			&call{tid: 8, name: "recvfrom", args: []string{"3<socket:[12]>", `"x"`, "1", "0", "NULL", "NULL"}, start: 2e9, end: 2.5e9 + 2000, result: 1}},
		{`8 3.000000 accept(3<TCP:[1.2.3.4:5]>, {sa_family=AF_INET, sin_port=htons(10)}, [16]) = 4<TCP:[1.2.3.4:5->6.7.8.9:10]>`,
			&call{tid: 8, name: "accept", args: []string{"3<TCP:[1.2.3.4:5]>", "{sa_family=AF_INET, sin_port=htons(10)}", "[16]"}, start: 3e9, result: 4, returned: "TCP:[1.2.3.4:5->6.7.8.9:10]"}},
		{`8 4.000000 exit_group(0) = ?`, &call{tid: 8, name: "exit_group", args: []string{"0"}, start: 4e9, unknown: true}},
		{`8 5.000000 <... restart_syscall resumed>) = 0`, nil}, // it began before the log
	} {
		got, err := s.line(tc.line)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", tc.line, got, err, tc.want)
		}
	}
	for _, bad := range []string{"", "1.000000", "7 1.000000 read(3", "hello"} {
		if c, err := s.line(bad); err == nil {
			t.Errorf("%q: accepted as %+v", bad, c)
		}
	}
}

func TestPayload(t *testing.T) {
	for _, tc := range []struct {
		arg  string
		n    int64
		want string
		ok   bool
	}{
		{`"abc"`, 3, "abc", true},
		{`"a\n\0012\177\\\""`, 7, "a\n\x012\x7f\\\"", true},
		{`"\x61\x00"`, 2, "a\x00", true},
		{`"abc"...`, 3, "", false},
		{`[{iov_base="ab", iov_len=2}, {iov_base="cd", iov_len=9}]`, 3, "abc", true},
		{`"abc"`, 4, "", false},
	} {
		if got, ok := payload(tc.arg, tc.n); string(got) != tc.want || ok != tc.ok {
			t.Errorf("%s: %q, %v", tc.arg, got, ok)
		}
	}
}

// TestImportedAlteration: an alteration of a log is found as one of a recording is: here the write begins when
// the reader has gone on.
func TestImportedAlteration(t *testing.T) {
	log := `7 1.000001 accept(3<TCP:[127.0.0.1:80]>, NULL, NULL) = 4<TCP:[127.0.0.1:80->127.0.0.1:5000]> <0.000002>
8 1.000000 connect(3<TCP:[55]>, {sa_family=AF_INET}, 16) = 0 <0.000002>
8 1.000010 write(3<TCP:[127.0.0.1:5000->127.0.0.1:80]>, "hello", 5) = 5 <0.000002>
7 1.000020 read(4<TCP:[127.0.0.1:80->127.0.0.1:5000]>, "hello", 100) = 5 <0.000002>
7 1.000030 exit_group(0) = ?
8 1.000040 exit_group(0) = ?
`
	check := func(log string) *Verdict {
		t.Helper()
		path := filepath.Join(t.TempDir(), "log.sdt")
		if _, err := Import(strings.NewReader(log), path); err != nil {
			t.Fatal(err)
		}
		tr, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		v, err := tr.Check()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := check(log); !v.OK() || v.Verified != 5 || v.Connections != 1 {
		t.Errorf("%+v", v)
	}
	for _, alter := range [][2]string{{`"hello", 100`, `"jello", 100`}, {"8 1.000010", "8 1.000035"}} {
		if v := check(strings.Replace(log, alter[0], alter[1], 1)); v.OK() {
			t.Errorf("%v: accepted", alter)
		}
	}
	if _, err := Import(strings.NewReader("not a log\n"), filepath.Join(t.TempDir(), "x.sdt")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("not a log: %v", err)
	}
}
