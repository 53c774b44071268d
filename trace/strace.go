package trace

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// call is one finished call of a strace log.
type call struct {
	tid        uint32
	name       string
	args       []string
	start, end int64  // ns; end is 0 without -T
	result     int64  // or -errno
	returned   string // what -y says of a descriptor that was returned
	unknown    bool   // "= ?": it did not return
}

var (
	// PID of -f in its two spellings, time of -ttt, and the rest.
	straceLine = regexp.MustCompile(`^(?:(\d+)\s+|\[pid\s+(\d+)\] )?(\d+)\.(\d{6}) (.*)$`)
	unfinished = regexp.MustCompile(`^(\w+)\((.*?),?\s*<unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^<\.\.\. (\w+) resumed>,?\s*(.*)$`)
	whole      = regexp.MustCompile(`^(\w+)\((.*)$`)
	ending     = regexp.MustCompile(`\)\s+= (-?\d+|0x[0-9a-f]+|\?)(<.*?>)?( [A-Z][A-Z0-9_]+)?( \(.*?\))?( <(\d+\.\d+)>)?$`)
)

// strace reads a log line by line. Unfinished calls wait for the line that resumes them: one for each
// thread.
type strace struct {
	waiting map[uint32]string
	began   map[uint32]int64
}

// line is a call if the line ends one. Signals and ends of processes are calls named "+++" and "---".
func (s *strace) line(text string) (*call, error) {
	m := straceLine.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("not a line of strace -f -ttt: %.80q", text)
	}
	tid, _ := strconv.ParseUint(m[1]+m[2], 10, 32)
	sec, _ := strconv.ParseInt(m[3], 10, 64)
	usec, _ := strconv.ParseInt(m[4], 10, 64)
	at, rest, id := sec*1e9+usec*1e3, m[5], uint32(tid)
	if strings.HasPrefix(rest, "+++ ") || strings.HasPrefix(rest, "--- ") {
		return &call{tid: id, name: rest[:3], args: []string{rest[4:]}, start: at, end: at}, nil
	}
	if m := unfinished.FindStringSubmatch(rest); m != nil {
		s.waiting[id], s.began[id] = m[1]+"("+m[2], at
		return nil, nil
	}
	start := at
	if m := resumed.FindStringSubmatch(rest); m != nil {
		head, ok := s.waiting[id]
		if !ok || !strings.HasPrefix(head, m[1]+"(") {
			return nil, nil // it began before strace did
		}
		if !strings.HasSuffix(head, "(") && !strings.HasPrefix(m[2], ")") {
			head += ", "
		}
		rest, start = head+m[2], s.began[id]
		delete(s.waiting, id)
	}
	c, err := parseCall(rest)
	if c != nil {
		c.tid, c.start = id, start
		if start != at && c.end == 0 {
			c.end = at - start
		}
		if c.end != 0 {
			c.end += start + 2000 // both are rounded to 1 µs
		}
	}
	return c, err
}

func parseCall(text string) (*call, error) {
	m, e := whole.FindStringSubmatch(text), ending.FindStringSubmatchIndex(text)
	if m == nil || e == nil {
		return nil, fmt.Errorf("neither a call nor a result: %.80q", text)
	}
	part := func(i int) string {
		if e[2*i] < 0 {
			return ""
		}
		return text[e[2*i]:e[2*i+1]]
	}
	c := &call{name: m[1], args: split(text[len(m[1])+1 : e[0]]), returned: strings.Trim(part(2), "<>")}
	if c.unknown = part(1) == "?"; !c.unknown {
		n, err := strconv.ParseInt(part(1), 0, 64)
		if err != nil && !strings.HasPrefix(part(1), "0x") {
			return nil, fmt.Errorf("result %q: %w", part(1), err)
		}
		c.result = n
	}
	if name := strings.TrimSpace(part(3)); c.result == -1 && name != "" {
		c.result = -int64(errnoOf(name))
	}
	if t := part(6); t != "" {
		f, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return nil, err
		}
		c.end = max(1, int64(math.Round(f*1e9)))
	}
	return c, nil
}

// errnoOf knows EINTR for what restarts calls: ERESTARTSYS and the like.
func errnoOf(name string) int {
	if strings.HasPrefix(name, "ERESTART") {
		return int(unix.EINTR)
	}
	for e := range 134 {
		if unix.ErrnoName(unix.Errno(e)) == name {
			return e
		}
	}
	return int(unix.EIO)
}

// split cuts arguments at the commas which are not within quotes or brackets.
func split(s string) (args []string) {
	depth, from := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(args, strings.TrimSpace(s[from:]))
}

var quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"(\.\.\.)?`)

// payload is the bytes of all strings in an argument, the first n of them; ok is false if strace has
// left some out.
func payload(arg string, n int64) (b []byte, ok bool) {
	for _, m := range quoted.FindAllStringSubmatch(arg, -1) {
		if m[2] != "" {
			return nil, false
		}
		b = unescape(b, m[1])
	}
	if int64(len(b)) < n {
		return nil, false
	}
	return b[:n], true
}

// unescape undoes C's escapes: octal with one to three digits, \x with two.
func unescape(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if at := strings.IndexByte("ntrfvae", s[i]); at >= 0 {
			b = append(b, "\n\t\r\f\v\a\x1b"[at])
		} else if s[i] == 'x' && i+2 < len(s) {
			v, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b, i = append(b, byte(v)), i+2
		} else if s[i] >= '0' && s[i] <= '7' {
			end := i + 1
			for end < len(s) && end < i+3 && s[end] >= '0' && s[end] <= '7' {
				end++
			}
			v, _ := strconv.ParseUint(s[i:end], 8, 16)
			b, i = append(b, byte(v)), end-1
		} else {
			b = append(b, s[i])
		}
	}
	return b
}
