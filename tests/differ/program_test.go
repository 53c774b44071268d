package differ

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/model"
)

// program is what is run: operations in one order.
type program struct {
	ops   []operation
	brief bool // it is judged if it ends before a SYN is sent again
}

type operation struct {
	model.Op
	hint int32
}

func (p *program) String() string {
	var b strings.Builder
	for _, o := range p.ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// plan follows the model through a program as it is written, along one of the ways that it may go,
// and gives each operation its hints.
type plan struct {
	program
	style    style
	state    *model.State
	count    *coverage
	strained bool
}

func newPlan(st style, c *coverage) *plan { return &plan{style: st, state: model.New(false), count: c} }

// tooLate tells whether an operation is one that libsd answers later than the kernel would, or in
// another way; docs/testing.md lists them.
func (p *plan) tooLate(proc int32, kind model.Kind, args []int32) bool {
	switch kind {
	case model.Connect:
		unspec, gone := args[1] == model.Unspec, p.state.PeerGone(proc, args[0])
		return unspec && gone || (unspec || gone) && p.state.Shared(proc, args[0]) || gone && p.state.Watched(proc, args[0])
	case model.Shutdown:
		return args[1] != syscall.SHUT_WR && p.state.Strained()
	case model.Close:
		return p.watchedByTwo(proc, args[0])
	case model.Dup3:
		return p.watchedByTwo(proc, args[1])
	case model.EpCtl, model.Poll:
		return p.sharedSet(proc, args[0]) || p.sharedSet(proc, args[2])
	case model.EpWait:
		return p.sharedSet(proc, args[0])
	case model.Fork:
		return args[1] == model.ForkVfork
	case model.Send:
		return args[2]&syscall.MSG_OOB != 0 && p.state.Marked(proc, args[0]) || args[1] > 20_000 && p.state.PeerDeaf(proc, args[0])
	case model.Recv:
		const both = syscall.MSG_PEEK | syscall.MSG_WAITALL
		return args[2]&both == both && p.state.Urgent(proc, args[0])
	}
	return false
}

// sharedSet: an epoll set that two processes have or had.
func (p *plan) sharedSet(proc, fd int32) bool {
	return p.state.Shared(proc, fd) && p.state.Place(proc, fd) == "epoll"
}

// watchedByTwo: a connection that two processes have or had, and that is in an epoll set.
func (p *plan) watchedByTwo(proc, fd int32) bool {
	return p.state.Shared(proc, fd) && p.state.Watched(proc, fd)
}

// preview tells whether an operation may sleep, must sleep, or may end its process.
func preview(branches []model.Branch) (maySleep, mustSleep, mayDie bool) {
	mustSleep = true
	for _, b := range branches {
		maySleep = maySleep || b.Lo == model.Blocked
		mustSleep = mustSleep && b.Lo == model.Blocked
		mayDie = mayDie || b.Lo <= model.Died
	}
	return maySleep, mustSleep, mayDie
}

// add appends an operation; unless sleepy, only if it cannot sleep. It tells whether it did, and the
// result that the plan goes on from.
func (p *plan) add(sleepy bool, proc int32, kind model.Kind, args ...int32) (r int32, ok bool) {
	op := model.Op{ID: int32(len(p.ops) + 1), Proc: proc, Kind: kind}
	copy(op.Arg[:], args)
	if slices.Contains(p.style.excluded, kind) || kind == model.Fork && op.Arg[0] != p.state.Born() || p.style.late && p.tooLate(proc, kind, op.Arg[:]) {
		return 0, false
	}
	if asleep, peeking := p.state.Receiving(proc, op.Arg[0]); kind == model.Recv && (peeking || asleep && op.Arg[2]&syscall.MSG_PEEK != 0) {
		return 0, false // "Application bug, race in MSG_PEEK", says the kernel, and copies bytes twice
	}
	if kind == model.Connect && p.state.OpensShut(proc, op.Arg[0], op.Arg[1]) {
		return 0, false // such a connection sends itself FIN at once: by newer kernels only
	}
	urgent := kind == model.Send && op.Arg[2]&syscall.MSG_OOB != 0 && !op.FlagLess()
	if urgent && (p.strained || !p.state.MayMark(proc, op.Arg[0], op.Arg[1])) {
		return 0, false // whether the mark has come the model would not know
	}
	branches := p.state.Step(op)
	maySleep, mustSleep, mayDie := preview(branches)
	if maySleep && !sleepy || len(p.ops) >= maxOps {
		return 0, false
	}
	if p.style.late && slices.ContainsFunc(branches, p.state.EndsConnections) {
		return 0, false
	}
	hint := int32(0)
	if maySleep || mayDie || kind == model.Exit || kind == model.Exec {
		hint |= hintWatch
	}
	p.count.visit(p.state, op)
	orphans := p.state.Orphans()
	for _, b := range branches {
		if b.Lo == model.Blocked && !mustSleep {
			continue
		}
		r = b.Hi
		p.state = b.Next(r)
		break
	}
	if (kind == model.Close || kind == model.Dup3) && p.state.Orphans() > orphans {
		hint |= hintLast
	}
	p.brief = p.brief || p.state.Connecting()
	p.strained = p.strained || p.state.Strained() || kind == model.Send && args[1] > 20_000
	if p.strained { // for good: what was planned may have gone otherwise, and sleep where the plan does not
		hint |= hintStrained
	}
	p.ops = append(p.ops, operation{op, hint})
	for _, s := range p.state.Sleepers() {
		if b := p.state.Resume(s); len(b) > 0 {
			p.state = b[0].Next(b[0].Hi)
		}
	}
	return r, true
}

// replan gives the operations their numbers and hints again.
func replan(st style, ops []operation) *program {
	p := newPlan(st, newCoverage())
	for _, o := range ops {
		p.add(true, o.Proc, o.Kind, o.Arg[:]...)
	}
	return &p.program
}

// minimize leaves out operations after the first few, many at once to begin with, as long as the program
// still fails and for a minute.
func (p *program) minimize(st style, fixed int, fails func(*program) bool) *program {
	start := time.Now()
	for size := len(p.ops) - fixed; size > 0; size /= 2 {
		for at := fixed; at+size <= len(p.ops) && time.Since(start) < time.Minute; {
			shorter := replan(st, slices.Delete(slices.Clone(p.ops), at, at+size))
			if fails(shorter) {
				p = shorter
			} else {
				at++
			}
		}
	}
	return p
}

// judge compares outcomes with the model; it gives a transcript up to the divergence.
func (p *program) judge(late bool, outs []model.Outcome, backs []returned) (transcript string, err error) {
	var b strings.Builder
	j := model.NewJudge(late)
	for i, o := range p.ops {
		fmt.Fprintf(&b, "%-44v -> %v\n", o.Op, outs[i])
		if err := j.Observe(o.Op, outs[i]); err != nil {
			return b.String(), err
		}
		var together []model.Return
		for ; len(backs) > 0 && backs[0].after == i; backs = backs[1:] {
			fmt.Fprintf(&b, "%46s %d returns %v\n", "", backs[0].proc, backs[0].out)
			together = append(together, model.Return{Proc: backs[0].proc, Out: backs[0].out})
		}
		if err := j.Settled(together); err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}
