package account

import "time"

// Wake looks at once at what waits for a time: after a sleep of the machine, or when its clock was set. back is how far the
// clock went back; pauses end that much earlier, else they would last that much longer.
func (p *Pools) Wake(back time.Duration) {
	if back > 0 {
		p.clockBack(back)
	}
	p.tokens.Wake()
}

func (p *Pools) clockBack(back time.Duration) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if len(e.cool) == 0 {
			continue
		}
		for _, c := range e.cool {
			c.until = c.until.Add(-back)
		}
		e.refresh(now)
	}
}
