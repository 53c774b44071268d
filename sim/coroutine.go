package sim

import "iter"

// coroutine runs bodies, one after another: by the second its stack has grown.
type coroutine struct {
	resume  func() (struct{}, bool)
	suspend func()
	body    func()
}

// spare are coroutines whose bodies are over. One world runs at a time.
var spare []*coroutine

// killed unwinds the body of a thread that is no more.
type killed struct{}

// begin has body run at the first resume.
func begin(body func()) *coroutine {
	if n := len(spare); n > 0 {
		c := spare[n-1]
		spare = spare[:n-1]
		c.body = body
		return c
	}
	c := &coroutine{body: body}
	c.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		for c.suspend = func() { yield(struct{}{}) }; ; c.suspend() {
			c.body()
			c.body = nil
			spare = append(spare, c)
		}
	})
	return c
}
