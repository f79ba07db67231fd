package window

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// place is the size of the window and where it stood.
type place struct {
	Width     int  `json:"width"`
	Height    int  `json:"height"`
	X         int  `json:"x"`
	Y         int  `json:"y"`
	Set       bool `json:"set"` // X and Y are known
	Maximised bool `json:"maximised,omitempty"`
}

// The least size, the one to start with, and the one that no screen has.
const (
	minWidth, minHeight     = 720, 560
	startWidth, startHeight = 1280, 800
	noScreen                = 20000
)

// loadPlace reads what savePlace wrote. What cannot be true is replaced: the window must never be out of reach.
func loadPlace(file string) place {
	fresh := place{Width: startWidth, Height: startHeight}
	p := fresh
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return fresh
	}
	if p.Width < minWidth || p.Height < minHeight || p.Width > noScreen || p.Height > noScreen {
		p.Width, p.Height = startWidth, startHeight
	}
	return p
}

// on reports whether a window at this place can be seen and taken hold of on screens that are so large together. The
// title bar is what one takes hold of.
func (p place) on(width, height int) bool {
	const grip = 80
	return p.Set && p.X > grip-p.Width && p.X < width-grip && p.Y >= 0 && p.Y < height-grip
}

// savePlace remembers p for the next window.
func savePlace(file string, p place) error {
	if file == "" || p.Width < minWidth || p.Height < minHeight {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".window-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the rename it is gone
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
