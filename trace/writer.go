package trace

import (
	"errors"
	"fmt"
	"os"
)

// Writer makes a file that was not recorded by libsdtrace.so. Memory: a segment for each thread.
type Writer struct {
	header  Header
	f       *os.File
	next    uint32
	threads map[[2]uint32]*tail
}

// tail is the segment that a thread fills.
type tail struct {
	buf  []byte
	head segment
	at   int
	end  int64
}

// Create makes the file. Limit of the header is Close's business.
func Create(path string, h Header) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{header: h, f: f, next: 1, threads: map[[2]uint32]*tail{}}, nil
}

// Put appends a record of a thread. The ends of a thread's records must not decrease.
func (w *Writer) Put(pid, tid uint32, r *Record) error {
	key := [2]uint32{pid, tid}
	t := w.threads[key]
	switch {
	case t == nil:
		t = &tail{buf: make([]byte, SegmentSize)}
		w.threads[key] = t
		w.begin(t, segment{pid: pid, tid: tid, made: r.Start})
	case t.at > SegmentSize-RecordSize: // the last place stays empty
		if err := w.flush(t); err != nil {
			return err
		}
		w.begin(t, segment{pid: pid, tid: tid, turn: t.head.turn + 1, made: t.end})
	}
	if r.Op != Names && r.End < t.end {
		return fmt.Errorf("thread %d: %s ends before what was recorded last", tid, span(r))
	}
	t.end = max(t.end, r.End)
	if r.encodeShort(t.buf[t.at:], t.head.made) {
		t.at += placeSize
		return nil
	}
	r.encode(t.buf[t.at:])
	t.at += RecordSize
	return nil
}

func (w *Writer) begin(t *tail, s segment) {
	s.index = w.next
	w.next++
	clear(t.buf)
	s.encode(t.buf)
	t.head, t.at = s, RecordSize
}

func (w *Writer) flush(t *tail) error {
	_, err := w.f.WriteAt(t.buf, int64(t.head.index)*SegmentSize)
	return err
}

// Close writes what is left and the header.
func (w *Writer) Close() error {
	var all []error
	for _, t := range w.threads {
		all = append(all, w.flush(t))
	}
	w.header.Limit = uint64(w.next)
	b := make([]byte, SegmentSize)
	w.header.encode(b)
	_, err := w.f.WriteAt(b, 0)
	return errors.Join(append(all, err, w.f.Close())...)
}
