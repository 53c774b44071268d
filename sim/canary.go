package sim

// Canary is a planted bug: a mistake that one could make in the code under test, which scenarios must
// find.
type Canary struct {
	Name, About string
	Scenarios   []string     // in the order in which they are tried
	Plant       func() error // has later runs run the code with the bug
	Remove      func() error
}

var canaries []*Canary

// RegisterCanary makes canaries known to sdsim.
func RegisterCanary(c ...*Canary) { canaries = append(canaries, c...) }

// Canaries is all that were registered.
func Canaries() []*Canary { return canaries }
