package clientkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"patchbay/backend/store"
)

// ErrThere reports a key that is there already, good or revoked.
var ErrThere = errors.New("it is there already")

// Carry returns the keys that are good now, as hashes: they let in who has the key, and tell nobody what it is.
func (k *Keys) Carry(ctx context.Context) ([]store.ClientKey, error) {
	rows, err := k.db.ClientKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the client keys: %w", err)
	}
	var out []store.ClientKey
	for _, row := range rows {
		if _, key, err := fromRow(row); err == nil && key.Valid(time.Now()) {
			out = append(out, row)
		}
	}
	return out, nil
}

// TakeIn adds a key that Carry returned, or reports ErrThere. A key that was revoked here stays so.
func (k *Keys) TakeIn(ctx context.Context, row store.ClientKey) error {
	k.edit.Lock()
	defer k.edit.Unlock()
	if _, _, err := fromRow(row); err != nil {
		return err
	}
	for _, key := range k.List() {
		if key.ID == row.ID {
			row.ID = rand.Text()[:12]
		}
	}
	if err := k.db.AddClientKey(ctx, row); err != nil {
		if errors.Is(err, store.ErrExists) {
			return ErrThere
		}
		return fmt.Errorf("saving the client key: %w", err)
	}
	return k.reload(ctx)
}
