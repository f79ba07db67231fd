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
	Tags               []string
	Weight             int       // share of the calls, 0 = 1
	Reserve            int       // percent of each allowance that is left alone, -1 = what the provider says
	Kind               string    // of the reason
	Since              time.Time // since when the state is what it is
}

// Health is what is written of an account when its health changes.
type Health struct {
	ID, State, Kind, Reason, Link string
	Since                         time.Time
	Notes                         map[string]string
	Cooling                       []Cooldown
}

// Cooldown is a pause of an account for one model, a pattern of models, or all ("*").
type Cooldown struct {
	Account, Model string
	Absent         bool // the account does not have the model
	Until          time.Time
	Kind, Reason   string
	Since          time.Time
	Level          int // how many pauses in a row this is
}

const accountColumns = `id, provider, name, priority, enabled, owner, state, reason, settings, notes, proxy, max_concurrent, created_at, login, identity, link,
 renews, issued_at, expires_at, tags, weight, reserve, kind, since_at`

// Accounts returns all accounts.
func (d *DB) Accounts(ctx context.Context) ([]Account, error) {
	return all(ctx, d.from(ctx), scanAccount, `SELECT `+accountColumns+` FROM accounts ORDER BY provider, priority, created_at, id`)
}

func scanAccount(row scanner) (Account, error) {
	var a Account
	var settings, notes, tags string
	var created, issued, expires, since int64
	err := row.Scan(&a.ID, &a.Provider, &a.Name, &a.Priority, &a.Enabled, &a.Owner, &a.State, &a.Reason,
		&settings, &notes, &a.Proxy, &a.MaxConcurrent, &created, &a.Login, &a.Identity, &a.Link, &a.Renews, &issued, &expires,
		&tags, &a.Weight, &a.Reserve, &a.Kind, &since)
	if err != nil {
		return a, err
	}
	a.Created, a.Issued, a.Expires, a.Since = fromMillis(created), fromMillis(issued), fromMillis(expires), fromMillis(since)
	if a.Tags, err = unpack[[]string](tags); err != nil {
		return a, err
	}
	if a.Settings, err = unpack[map[string]string](settings); err != nil {
		return a, err
	}
	a.Notes, err = unpack[map[string]string](notes)
	return a, err
}

// PutAccount writes an account, new or changed.
func (d *DB) PutAccount(ctx context.Context, a Account) error {
	_, err := d.exec(ctx, `INSERT INTO accounts(`+accountColumns+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, name = excluded.name, priority = excluded.priority,
  enabled = excluded.enabled, owner = excluded.owner, state = excluded.state, reason = excluded.reason,
  settings = excluded.settings, notes = excluded.notes, proxy = excluded.proxy, max_concurrent = excluded.max_concurrent,
  login = excluded.login, identity = excluded.identity, link = excluded.link, renews = excluded.renews,
  issued_at = excluded.issued_at, expires_at = excluded.expires_at, tags = excluded.tags, weight = excluded.weight,
  reserve = excluded.reserve, kind = excluded.kind, since_at = excluded.since_at`,
		a.ID, a.Provider, a.Name, a.Priority, a.Enabled, a.Owner, a.State, a.Reason,
		pack(a.Settings), pack(a.Notes), a.Proxy, a.MaxConcurrent, millis(a.Created),
		a.Login, a.Identity, a.Link, a.Renews, millis(a.Issued), millis(a.Expires),
		pack(a.Tags), a.Weight, a.Reserve, a.Kind, millis(a.Since))
	return err
}

// DeleteAccount removes an account and its cool-downs. Its sealed rows are deleted by who made them.
func (d *DB) DeleteAccount(ctx context.Context, id string) error {
	return d.one(ctx, `DELETE FROM accounts WHERE id = $1`, id)
}

// Cooldowns returns the pauses that end after now.
func (d *DB) Cooldowns(ctx context.Context, now time.Time) ([]Cooldown, error) {
	return all(ctx, d.from(ctx), scanCooldown,
		`SELECT account, model, absent, until_at, kind, reason, since_at, level FROM cooldowns WHERE until_at > $1 ORDER BY account, model`, millis(now))
}

func scanCooldown(row scanner) (Cooldown, error) {
	var c Cooldown
	var until, since int64
	err := row.Scan(&c.Account, &c.Model, &c.Absent, &until, &c.Kind, &c.Reason, &since, &c.Level)
	c.Until, c.Since = fromMillis(until), fromMillis(since)
	return c, err
}

// SetLoginTimes writes when the login of an account was given out and when it ends, without touching what a person decided.
// An account that is gone is ErrNotFound.
func (d *DB) SetLoginTimes(ctx context.Context, id string, issued, expires time.Time, renews bool) error {
	return d.one(ctx, `UPDATE accounts SET issued_at = $2, expires_at = $3, renews = $4 WHERE id = $1`, id, millis(issued), millis(expires), renews)
}

// SaveHealth writes the state of one account and replaces its cool-downs. An account that is gone is no error: it was
// removed while its last call ran.
func (d *DB) SaveHealth(ctx context.Context, h Health) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		n, err := d.exec(ctx, `UPDATE accounts SET state = $2, kind = $3, reason = $4, link = $5, since_at = $6, notes = $7 WHERE id = $1`,
			h.ID, h.State, h.Kind, h.Reason, h.Link, millis(h.Since), pack(h.Notes))
		if err != nil || n == 0 {
			return err
		}
		if _, err := d.exec(ctx, `DELETE FROM cooldowns WHERE account = $1`, h.ID); err != nil {
			return err
		}
		for _, c := range h.Cooling {
			if _, err := d.exec(ctx, `INSERT INTO cooldowns(account, model, absent, until_at, kind, reason, since_at, level) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
				h.ID, c.Model, c.Absent, millis(c.Until), c.Kind, c.Reason, millis(c.Since), c.Level); err != nil {
				return err
			}
		}
		return nil
	})
}

// Outcome is how one call of an account ended.
type Outcome struct {
	At   int64  `json:"at"`             // Unix milliseconds
	Kind string `json:"kind,omitempty"` // of the error, "" = it went well
}

// Use is what an account has been used for, and what its service said is left of its allowances.
type Use struct {
	Account        string
	LastUsed       time.Time
	Served, Failed int64
	Recent         []Outcome // oldest first
	QuotaAt        time.Time // zero = it was never asked
	Quota          string    // JSON of who keeps it
}

// Uses returns the use of all accounts. A row that cannot be read is left out: it is only a memory.
func (d *DB) Uses(ctx context.Context) ([]Use, error) {
	rows, err := all(ctx, d.from(ctx), scanUse, `SELECT account, last_used, served, failed, recent, quota_at, quota FROM account_use ORDER BY account`)
	return rows, err
}

func scanUse(row scanner) (Use, error) {
	var u Use
	var last, at int64
	var recent string
	if err := row.Scan(&u.Account, &last, &u.Served, &u.Failed, &recent, &at, &u.Quota); err != nil {
		return u, err
	}
	u.LastUsed, u.QuotaAt = fromMillis(last), fromMillis(at)
	u.Recent, _ = unpack[[]Outcome](recent) // an unreadable one stays empty
	return u, nil
}

// SaveUse keeps the use of an account. One that is gone is no error.
func (d *DB) SaveUse(ctx context.Context, u Use) error {
	_, err := d.exec(ctx, `INSERT INTO account_use(account, last_used, served, failed, recent, quota_at, quota)
SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $1)
ON CONFLICT (account) DO UPDATE SET last_used = excluded.last_used, served = excluded.served, failed = excluded.failed,
  recent = excluded.recent, quota_at = excluded.quota_at, quota = excluded.quota`,
		u.Account, millis(u.LastUsed), u.Served, u.Failed, pack(u.Recent), millis(u.QuotaAt), u.Quota)
	return err
}
