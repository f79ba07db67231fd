package secret

import (
	"context"
	"sync"
)

// Memory keeps secrets for as long as the program runs: for tests and for runs that must leave nothing behind.
type Memory struct {
	mu     sync.Mutex // guards values
	values map[Ref]Value
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{values: map[Ref]Value{}} }

var _ Store = (*Memory)(nil)

// Get returns the secret under ref.
func (m *Memory) Get(_ context.Context, ref Ref) (Value, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[ref]
	if !ok {
		return Value{}, ErrNotFound
	}
	return v, nil
}

// Put keeps v under ref.
func (m *Memory) Put(_ context.Context, ref Ref, v Value) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[ref] = v
	return nil
}

// Delete forgets what stands under ref, if anything.
func (m *Memory) Delete(_ context.Context, ref Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, ref)
	return nil
}
