package store

import (
	"context"
	"time"
)

// Account is one row of the table accounts. Its login is a sealed row, not here.
type Account struct {
	ID, Provider, Name string
	Priority           int
	Enabled            bool
	Owner              string
	State, Reason      string
	Settings, Notes    map[string]string
	Proxy              string // without its password
	MaxConcurrent      int
	Created            time.Time
	Login              string // id of the provider's login by which it signed in, "" = by a key
	Identity           string // who signed in, "" = not known
	Link               string // where a person can mend its state
	Renews             bool   // the login can be renewed
	Issued, Expires    time.Time
}

// Cooldown is a pause of an account for one model, a pattern of models, or all ("*").
type Cooldown struct {
	Account, Model string
	Absent         bool // the account does not have the model
	Until          time.Time
	Reason         string
	Level          int // how many pauses in a row this is
}

const accountColumns = `id, provider, name, priority, enabled, owner, state, reason, settings, notes, proxy, max_concurrent, created_at, login, identity, link, renews, issued_at, expires_at`

// Accounts returns all accounts.
func (d *DB) Accounts(ctx context.Context) ([]Account, error) {
	return all(ctx, d.from(ctx), scanAccount, `SELECT `+accountColumns+` FROM accounts ORDER BY provider, priority, created_at, id`)
}

func scanAccount(row scanner) (Account, error) {
	var a Account
	var settings, notes string
	var created, issued, expires int64
	err := row.Scan(&a.ID, &a.Provider, &a.Name, &a.Priority, &a.Enabled, &a.Owner, &a.State, &a.Reason,
		&settings, &notes, &a.Proxy, &a.MaxConcurrent, &created, &a.Login, &a.Identity, &a.Link, &a.Renews, &issued, &expires)
	if err != nil {
		return a, err
	}
	a.Created, a.Issued, a.Expires = fromMillis(created), fromMillis(issued), fromMillis(expires)
	if a.Settings, err = unpack[map[string]string](settings); err != nil {
		return a, err
	}
	a.Notes, err = unpack[map[string]string](notes)
	return a, err
}

// PutAccount writes an account, new or changed.
func (d *DB) PutAccount(ctx context.Context, a Account) error {
	_, err := d.exec(ctx, `INSERT INTO accounts(`+accountColumns+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, name = excluded.name, priority = excluded.priority,
  enabled = excluded.enabled, owner = excluded.owner, state = excluded.state, reason = excluded.reason,
  settings = excluded.settings, notes = excluded.notes, proxy = excluded.proxy, max_concurrent = excluded.max_concurrent,
  login = excluded.login, identity = excluded.identity, link = excluded.link, renews = excluded.renews,
  issued_at = excluded.issued_at, expires_at = excluded.expires_at`,
		a.ID, a.Provider, a.Name, a.Priority, a.Enabled, a.Owner, a.State, a.Reason,
		pack(a.Settings), pack(a.Notes), a.Proxy, a.MaxConcurrent, millis(a.Created),
		a.Login, a.Identity, a.Link, a.Renews, millis(a.Issued), millis(a.Expires))
	return err
}

// DeleteAccount removes an account and its cool-downs. Its sealed rows are deleted by who made them.
func (d *DB) DeleteAccount(ctx context.Context, id string) error {
	return d.one(ctx, `DELETE FROM accounts WHERE id = $1`, id)
}

// Cooldowns returns the pauses that end after now.
func (d *DB) Cooldowns(ctx context.Context, now time.Time) ([]Cooldown, error) {
	return all(ctx, d.from(ctx), scanCooldown,
		`SELECT account, model, absent, until_at, reason, level FROM cooldowns WHERE until_at > $1 ORDER BY account, model`, millis(now))
}

func scanCooldown(row scanner) (Cooldown, error) {
	var c Cooldown
	var until int64
	err := row.Scan(&c.Account, &c.Model, &c.Absent, &until, &c.Reason, &c.Level)
	c.Until = fromMillis(until)
	return c, err
}

// SetLoginTimes writes when the login of an account was given out and when it ends, without touching what a person decided.
// An account that is gone is ErrNotFound.
func (d *DB) SetLoginTimes(ctx context.Context, id string, issued, expires time.Time, renews bool) error {
	return d.one(ctx, `UPDATE accounts SET issued_at = $2, expires_at = $3, renews = $4 WHERE id = $1`, id, millis(issued), millis(expires), renews)
}

// SaveHealth writes the state of one account and replaces its cool-downs. An account that is gone is no error: it was
// removed while its last call ran.
func (d *DB) SaveHealth(ctx context.Context, id, state, reason, link string, notes map[string]string, cooling []Cooldown) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		n, err := d.exec(ctx, `UPDATE accounts SET state = $2, reason = $3, link = $4, notes = $5 WHERE id = $1`, id, state, reason, link, pack(notes))
		if err != nil || n == 0 {
			return err
		}
		if _, err := d.exec(ctx, `DELETE FROM cooldowns WHERE account = $1`, id); err != nil {
			return err
		}
		for _, c := range cooling {
			if _, err := d.exec(ctx, `INSERT INTO cooldowns(account, model, absent, until_at, reason, level) VALUES ($1, $2, $3, $4, $5, $6)`,
				id, c.Model, c.Absent, millis(c.Until), c.Reason, c.Level); err != nil {
				return err
			}
		}
		return nil
	})
}
