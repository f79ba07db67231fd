package app

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/go-json-experiment/json"
)

// remembered is what the desktop keeps from one start to the next. It is no setting: nobody wants to change it.
type remembered struct {
	Seen       bool `json:"seen"`         // the page was opened once, so that a hidden start surprises nobody
	ToldNoTray bool `json:"told_no_tray"` // the person knows that this desktop shows no icon
	NoGPU      bool `json:"no_gpu"`       // the window needs to do without the graphics card
}

// memory is remembered on disk.
type memory struct {
	file string

	mu  sync.Mutex // guards what follows
	now remembered
}

// openMemory reads what is remembered. A file that cannot be read is one that says nothing.
func openMemory(dir string) *memory {
	m := &memory{file: filepath.Join(dir, "desktop.json")}
	if b, err := os.ReadFile(m.file); err == nil && json.Unmarshal(b, &m.now) != nil {
		m.now = remembered{}
	}
	return m
}

func (m *memory) get() remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// once sets a mark and reports whether it was not set before. If it cannot be kept, it is set for this life.
func (m *memory) once(mark func(*remembered) *bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := mark(&m.now)
	if *p {
		return false
	}
	*p = true
	b, err := json.Marshal(m.now)
	if err != nil {
		return true
	}
	tmp := m.file + ".new"
	if os.WriteFile(tmp, b, 0o600) == nil {
		_ = os.Rename(tmp, m.file)
	}
	return true
}
