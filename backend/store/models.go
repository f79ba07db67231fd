package store

import (
	"context"
	"time"

	"patchbay/backend/canon"
)

// ModelList is what a service listed for one account.
type ModelList struct {
	Account string
	Source  string // names the settings that it came from; a list from others does not count
	At      time.Time
	Models  []canon.Model
}

// ModelLists returns the lists of all accounts. A row that cannot be read is left out: it is only a memory.
func (d *DB) ModelLists(ctx context.Context) ([]ModelList, error) {
	rows, err := all(ctx, d.from(ctx), scanModelList, `SELECT account, source, at, models FROM model_lists ORDER BY account`)
	if err != nil {
		return nil, err
	}
	out := rows[:0]
	for _, r := range rows {
		if r.Models != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

func scanModelList(row scanner) (ModelList, error) {
	var l ModelList
	var at int64
	var models string
	if err := row.Scan(&l.Account, &l.Source, &at, &models); err != nil {
		return l, err
	}
	l.At = fromMillis(at)
	l.Models, _ = unpack[[]canon.Model](models) // an unreadable one stays nil
	return l, nil
}

// SaveModels keeps the list of an account in place of its last one.
func (d *DB) SaveModels(ctx context.Context, l ModelList) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		_, err := d.exec(ctx, `INSERT INTO model_lists(account, source, at, models) VALUES ($1, $2, $3, $4)
ON CONFLICT (account) DO UPDATE SET source = excluded.source, at = excluded.at, models = excluded.models`,
			l.Account, l.Source, millis(l.At), pack(l.Models))
		return err
	})
}
