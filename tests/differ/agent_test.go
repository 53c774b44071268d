package differ

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/socksdirect/libsd/model"
)

// The wire format of tests/prog/agent.h.
type (
	wireOp struct {
		Proc, Kind int32
		Arg        [model.MaxArgs]int32
		Hint       int32
	}
	wireOutcome struct {
		R       int32
		Signals uint32
		Sum     uint64
		N       int32
		Vec     [maxVec]int32
		_       int32
	}
	wireLate struct {
		After, Proc int32
		Out         wireOutcome
	}
)

const (
	maxVec   = 32
	maxOps   = 256
	maxProcs = 6
	addrs    = 4
)

// Hints of tests/prog/agent.h.
const (
	hintWatch    = 1
	hintStrained = 2
	hintLast     = 4
)

// agent is a running interpreter.
type agent struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended chan struct{}
}

func startAgent(cmd *exec.Cmd) (*agent, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &agent{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<16), ended: make(chan struct{})}, nil
}

func (a *agent) stop() error {
	if err := a.in.Close(); err != nil {
		return err
	}
	return a.cmd.Wait()
}

// returned is the outcome of a call that slept: it came after operation After.
type returned struct {
	after int
	proc  int32
	out   model.Outcome
}

// run runs a program. It takes at most patience.
func (a *agent) run(p *program) ([]model.Outcome, []returned, error) {
	const patience = 30 * time.Second
	timer := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
	defer timer.Stop()
	msg := binary.NativeEndian.AppendUint32(nil, uint32(len(p.ops)))
	addr, err := nextAddress()
	if err != nil {
		return nil, nil, err
	}
	msg = binary.NativeEndian.AppendUint32(msg, addr)
	for _, o := range p.ops {
		w := wireOp{Proc: o.Proc, Kind: int32(o.Kind), Arg: o.Arg, Hint: o.hint}
		if msg, err = binary.Append(msg, binary.NativeEndian, w); err != nil {
			return nil, nil, err
		}
	}
	if _, err := a.in.Write(msg); err != nil {
		return nil, nil, err
	}
	var n uint32
	if err := binary.Read(a.out, binary.NativeEndian, &n); err != nil {
		return nil, nil, fmt.Errorf("the interpreter ended, within %v: %w", patience, err)
	}
	late := make([]wireLate, n)
	outs := make([]wireOutcome, len(p.ops))
	if err := binary.Read(a.out, binary.NativeEndian, late); err != nil {
		return nil, nil, err
	}
	if err := binary.Read(a.out, binary.NativeEndian, outs); err != nil {
		return nil, nil, err
	}
	results := make([]model.Outcome, len(outs))
	for i := range outs {
		results[i] = outs[i].outcome()
	}
	backs := make([]returned, n)
	for i := range late {
		backs[i] = returned{int(late[i].After), late[i].Proc, late[i].Out.outcome()}
	}
	return results, backs, nil
}

func (w *wireOutcome) outcome() model.Outcome {
	o := model.Outcome{R: w.R, Signals: w.Signals, Sum: w.Sum}
	if w.N > 0 {
		o.Vec = append(o.Vec, w.Vec[:w.N]...)
	}
	return o
}
