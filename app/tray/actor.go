//go:build !darwin || cgo

package tray

import (
	"sync/atomic"
	"time"

	"fyne.io/systray"
)

// pace is the least time between two changes of the menu on screen.
const pace = 100 * time.Millisecond

// actor owns every call of package systray. Its goroutine brings the menu on screen up to what is wanted, one difference at
// a time; entries are made once and then hidden and shown, because that is what all desktops do well.
type actor struct {
	t       *Tray
	variant string // of the icons: what they lie on
	shown   Menu
	entries map[string]*entry // by Item.ID
	clicks  chan Click
}

type entry struct {
	item  *systray.MenuItem // nil for a separator
	click atomic.Pointer[Click]
}

// Run shows the icon until Stop. It must be called from the main goroutine: macOS and Windows want their event loop there.
func (t *Tray) Run() error {
	if err := present(); err != nil {
		return err
	}
	a := &actor{t: t, variant: background(), entries: map[string]*entry{}, clicks: make(chan Click, 16)}
	t.guard("preparing", func() { a.prepare() })
	ended := make(chan struct{})
	go func() { // ends with Run
		select {
		case <-t.done:
			t.guard("quitting", systray.Quit)
		case <-ended:
		}
	}()
	lost := watchHost(t)
	defer lost()
	defer close(ended)
	t.guard("running", func() {
		systray.Run(func() { a.ready() }, func() {
			if t.o.Ended != nil {
				t.o.Ended()
			}
		})
	})
	<-t.done // a tray that is gone is no reason to end
	return nil
}

// ready makes the entries. It must return soon: the desktop waits for it with the menu.
func (a *actor) ready() {
	m := a.t.wanted()
	a.t.guard("making the menu", func() {
		for i := range m.Items {
			a.add(nil, m.Items[i])
		}
	})
	a.shown = m
	a.t.guard("showing the icon", func() { a.setIcon(m) })
	go a.handClicksOn() // ends with done
	go a.follow()       // ends with done
}

// add makes one entry, below parent unless that is nil.
func (a *actor) add(parent *systray.MenuItem, it Item) {
	e := &entry{}
	a.entries[it.ID] = e
	text := label(goos, it.Label)
	switch {
	case it.Kind == Separator && parent == nil:
		systray.AddSeparator()
		return
	case it.Kind == Separator:
		parent.AddSeparator()
		return
	case it.Kind == Check && parent == nil:
		e.item = systray.AddMenuItemCheckbox(text, "", it.Checked)
	case it.Kind == Check:
		e.item = parent.AddSubMenuItemCheckbox(text, "", it.Checked)
	case parent == nil:
		e.item = systray.AddMenuItem(text, "")
	default:
		e.item = parent.AddSubMenuItem(text, "")
	}
	click := it.Click
	e.click.Store(&click)
	if it.Kind != Submenu {
		go a.receive(e) // ends with the process: the module gives no other way
	}
	for i := range it.Items {
		a.add(e.item, it.Items[i])
	}
	if it.Disabled {
		e.item.Disable()
	}
	if it.Hidden {
		e.item.Hide()
	}
}

// receive takes the clicks of one entry. The module drops a click that nobody is waiting for, so it does nothing else.
func (a *actor) receive(e *entry) {
	for range e.item.ClickedCh {
		select {
		case a.clicks <- *e.click.Load():
		default: // sixteen clicks are waiting: somebody is hammering
		}
	}
}

func (a *actor) handClicksOn() {
	for {
		select {
		case c := <-a.clicks:
			if c.Do != Nothing {
				go a.t.o.Click(c) // a click may wait for the network; the next one must not wait for it
			}
		case <-a.t.done:
			return
		}
	}
}

// follow brings the menu on screen up to what is wanted.
func (a *actor) follow() {
	tick := time.NewTimer(pace)
	defer tick.Stop()
	for {
		select {
		case <-a.t.changed:
		case <-a.t.done:
			return
		}
		a.apply(a.t.wanted())
		tick.Reset(pace)
		select {
		case <-tick.C:
		case <-a.t.done:
			return
		}
	}
}

func (a *actor) apply(m Menu) {
	if m.Icon != a.shown.Icon || m.Tooltip != a.shown.Tooltip {
		a.t.guard("changing the icon", func() { a.setIcon(m) })
	}
	a.applyItems(a.shown.Items, m.Items)
	a.shown = m
}

func (a *actor) applyItems(old, items []Item) {
	for i := range items {
		if i < len(old) && old[i].ID == items[i].ID {
			a.t.guard(items[i].ID, func() { a.change(old[i], items[i]) })
			a.applyItems(old[i].Items, items[i].Items)
		}
	}
}

// change brings one entry up to date. A hidden one is left alone: on Windows a change would show it.
func (a *actor) change(old, it Item) {
	e := a.entries[it.ID]
	if e == nil || e.item == nil {
		return
	}
	click := it.Click
	e.click.Store(&click)
	if it.Hidden {
		if !old.Hidden {
			e.item.Hide()
		}
		return
	}
	fresh := old.Hidden // what changed while it was hidden was not said
	if fresh || it.Label != old.Label {
		e.item.SetTitle(label(goos, it.Label))
	}
	if it.Kind == Check && (fresh || it.Checked != old.Checked) {
		if it.Checked {
			e.item.Check()
		} else {
			e.item.Uncheck()
		}
	}
	if fresh || it.Disabled != old.Disabled {
		if it.Disabled {
			e.item.Disable()
		} else {
			e.item.Enable()
		}
	}
	if fresh {
		e.item.Show()
	}
}

func (a *actor) setIcon(m Menu) {
	b := icon(m.Icon, a.variant)
	if goos == "darwin" {
		systray.SetTemplateIcon(b, b)
	} else {
		systray.SetIcon(b)
	}
	systray.SetTooltip(tooltip(m.Tooltip))
}
