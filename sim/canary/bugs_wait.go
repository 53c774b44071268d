package canary

const parker = "sim/scene/park.go" // where the scene does what package socket does

var waiting = []Bug{
	{"bell-parked-store", "who parks says so by a plain store", []string{"park"}, []Edit{{bell,
		"shm.Add32(&o.bell.Parked, 1)", "shm.StoreRelease32(&o.bell.Parked, shm.Load32(&o.bell.Parked)+1)", false}}},
	{"bell-no-recheck", "who parks does not look again before it sleeps", []string{"park"}, []Edit{{bell,
		"shm.Load64(&o.bell.Summary[i]) != 0", "false", true}}},
	{"bell-summary-store", "a publisher marks the summary by a plain store", []string{"park"}, []Edit{{page,
		"shm.Or64(&b.Summary[w/64], 1<<(w%64))", "shm.StoreRelease64(&b.Summary[w/64], 1<<(w%64))", false}}},
	{"bell-clear-late", "a woken waiter clears its bit and does not look before it sleeps without bound", []string{"park"}, []Edit{{parker,
		"settled = false", "", false}}},
	{"park-no-relook", "a first sleep has no bound: no second look after store buffers have drained", []string{"park"}, []Edit{{parker,
		"bound = queue.FirstSleep", "", false}}},
	{"park-early-end", "a first sleep that ended early counts", []string{"park-signal", "park"}, []Edit{{parker,
		"settled = settled || passed", "settled = settled || passed || PLANTED", false}}},
}
