package app

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

// lookAtClock is how often the clocks and the network are looked at. It is all that an idle Patchbay does.
const lookAtClock = 15 * time.Second

// slack is how far two clocks, or a clock and a timer, may differ without a cause: a busy machine is late.
const slack = 20 * time.Second

// reading is what both clocks say: the one on the wall, and the one that only runs.
type reading struct {
	wall    time.Time // without the other one
	running time.Duration
}

// judge says what happened to the clocks between two readings that should be wait apart: nothing (""), or the machine slept,
// or somebody set the clock. back is how far it went back.
func judge(old, now reading, wait time.Duration) (why string, back time.Duration) {
	wall, running := now.wall.Sub(old.wall), now.running-old.running
	switch {
	case wall < running-slack:
		return "the clock was set back", running - wall
	case wall > running+slack:
		// Where the running clock stands still while the machine sleeps, that is how it looks.
		return "the machine slept, or the clock was set forward", 0
	case running > wait+slack:
		return "the machine slept", 0
	}
	return "", 0
}

// clocks returns what reads both clocks of this machine.
func clocks() func() reading {
	start := time.Now()
	return func() reading { t := time.Now(); return reading{t.Round(0), t.Sub(start)} }
}

// watchClock looks at the clocks and the network every so often, and calls wake when something happened to them. It returns
// when ctx ends.
func watchClock(ctx context.Context, every time.Duration, read func() reading, networks func() string, wake func(back time.Duration, why string)) {
	old, net := read(), networks()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, nets := read(), networks()
		why, back := judge(old, now, every)
		if why == "" && nets != net {
			why = "the network changed"
		}
		old, net = now, nets
		if why != "" {
			wake(back, why)
		}
	}
}

// networks are the addresses of this machine: when they change, connections are dead and nobody says so.
func networks() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var out []string
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
