// Package model says what Linux does with TCP sockets and the processes that hold them, as an
// executable specification. It imports nothing of ours.
//
// A State is a whole world: processes, their descriptors, the open file descriptions behind them, the
// TCP endpoints, and what is on its way between endpoints. State.Step gives the set of what an
// operation may answer, each answer with the state that follows. The set is an interval of results in
// a few Branches: where Linux has one answer it has one member, and it is wider only where Linux is
// nondeterministic:
//
//	how much a send takes when the queue is long, how much of a long queue has arrived,
//	which of several ready members epoll_wait reports when it may not report all.
//
// The network is settled: before an operation starts, what earlier ones have sent has arrived, as far
// as the window allows. Whoever compares the model with a real system has to wait for that.
//
// A Judge follows one history through the sets and says where it leaves them. A generator asks Step
// what is possible; a fake peer picks any member.
//
// Numbers are Linux's own: descriptors, flags, event masks, option names, errno.
package model
