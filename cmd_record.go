package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/record"
)

func (a *app) usageCommand() *cobra.Command {
	var days int
	var since, by string
	var csv bool
	var q api.UsageQuery
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Requests, tokens and estimated costs by provider, account, model and client key",
		Example: "  patchbay usage --days 7\n" +
			"  patchbay usage --since 24h --by provider --bucket hour\n" +
			"  patchbay usage --since 2026-11-01 --by key,model --csv > november.csv",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 0 {
				return usagef("--days cannot be negative")
			}
			if days > 0 {
				q.Since = time.Now().AddDate(0, 0, -days)
			}
			if since != "" {
				at, err := ago(since, time.Now())
				if err != nil {
					return err
				}
				q.Since = at
			}
			if by != "" {
				q.By = strings.Split(by, ",")
			}
			if err := q.Check(); err != nil {
				return usagef("%s", apierror.From(err).Msg)
			}
			return a.with(cmd.Context(), func(svc api.Service) error { return a.usage(cmd.Context(), svc, q, csv) })
		},
	}
	cmd.Flags().IntVar(&days, "days", 30, "how many `days` back; 0 is all")
	cmd.Flags().StringVar(&since, "since", "", "a `time`: 24h, 7d, 2026-11-22 or 2026-11-22T14:00:00Z; instead of --days")
	cmd.Flags().StringVar(&by, "by", "", "`what` to tell apart: any of provider, account, model, key, with commas")
	cmd.Flags().StringVar(&q.Bucket, "bucket", "", "a row for each `hour or day`")
	cmd.Flags().StringVar(&q.Zone, "zone", "", "the time `zone` whose days and hours count, as in Europe/Berlin (default: that of the machine)")
	cmd.Flags().StringVar(&q.Provider, "provider", "", "of this provider `id`")
	cmd.Flags().BoolVar(&csv, "csv", false, "as a table for a spreadsheet")
	return cmd
}

// ago reads a time that a person gives: how long ago, a day of this machine's calendar, or a time in full.
func ago(text string, now time.Time) (time.Time, error) {
	if n, err := strconv.Atoi(strings.TrimSuffix(text, "d")); err == nil && strings.HasSuffix(text, "d") && n >= 0 {
		return now.AddDate(0, 0, -n), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, usagef("%q is no time: write 24h, 7d, 2026-11-22 or 2026-11-22T14:00:00Z", text)
}

func (a *app) usage(ctx context.Context, svc api.Service, q api.UsageQuery, csv bool) error {
	u, err := svc.Usage(ctx, q)
	if err != nil {
		return err
	}
	switch {
	case csv:
		return u.WriteCSV(a.out)
	case a.json:
		return a.printJSON(u)
	}
	rows := u.Rows
	shows := shownColumns(u)
	if len(rows) > 1 {
		first := shows[0]
		if first == "START" && len(shows) > 1 {
			first = shows[1]
		}
		for name, cell := range map[string]*string{"PROVIDER": &u.Total.Provider, "ACCOUNT": &u.Total.Label, "MODEL": &u.Total.Model, "KEY": &u.Total.KeyName} {
			if name == first {
				*cell = "total"
			}
		}
		rows = append(rows, u.Total)
	}
	head := []string{"REQUESTS", "ERRORS", "HUNG UP", "INPUT", "CACHED", "OUTPUT", "REASONING", "FIRST MS", "WORST 5%", "COST " + u.Currency}
	head = slices.Concat(shows, head)
	err = printList(a, rows, strings.Join(head, "|"), func(r api.UsageRow) []string {
		var cells []string
		for _, column := range shows {
			cells = append(cells, map[string]string{
				"START": startIn(r.Start, q.Zone), "PROVIDER": r.Provider, "ACCOUNT": orElse(r.Label, r.Account), "MODEL": r.Model, "KEY": orElse(r.KeyName, r.Key),
			}[column])
		}
		return append(cells, strconv.FormatInt(r.Requests, 10), strconv.FormatInt(r.Errors, 10), strconv.FormatInt(r.HungUp, 10),
			count(r.Tokens.Input), count(r.Tokens.Cached), count(r.Tokens.Output), count(r.Tokens.Reasoning), count(r.FirstMedianMS), count(r.FirstWorstMS), cost(r.Cost))
	}, "Nothing was used in this time.")
	if err != nil || len(rows) == 0 {
		return err
	}
	for _, note := range usageNotes(u) {
		if _, err := fmt.Fprintln(a.out, note); err != nil {
			return err
		}
	}
	return nil
}

// startIn prints the beginning of an hour or a day in the zone that was asked for, "" for the machine's.
func startIn(t time.Time, zone string) string {
	at, err := time.LoadLocation(zone)
	if zone == "" || err != nil || t.IsZero() {
		return shown(t)
	}
	return t.In(at).Format(time.DateTime)
}

func shownColumns(u api.UsageView) []string {
	var out []string
	if u.Bucket != "" {
		out = append(out, "START")
	}
	has := func(d record.Dimension) bool { return slices.Contains(u.By, string(d)) }
	if has(record.ByProvider) || has(record.ByAccount) || has(record.ByModel) || !has(record.ByKey) {
		out = append(out, "PROVIDER")
	}
	for d, name := range map[record.Dimension]string{record.ByAccount: "ACCOUNT", record.ByModel: "MODEL", record.ByKey: "KEY"} {
		if has(d) {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return slices.Index(columns, a) - slices.Index(columns, b) })
	return out
}

var columns = []string{"START", "PROVIDER", "ACCOUNT", "MODEL", "KEY"}

// usageNotes say what the numbers leave out.
func usageNotes(u api.UsageView) []string {
	var out []string
	if u.Total.Untold > 0 {
		out = append(out, fmt.Sprintf("%s answered without telling tokens: theirs are estimates.", plural(int(u.Total.Untold), "request")))
	}
	if u.Total.Priced > 0 {
		out = append(out, fmt.Sprintf("Costs are estimates by the price table of %s, for keys that are paid per token.", u.Prices))
	}
	if u.Total.Unpriced > 0 {
		out = append(out, fmt.Sprintf("For %s no price is known.", plural(int(u.Total.Unpriced), "request")))
	}
	return out
}

func cost(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', 4, 64)
}

func (a *app) logsCommand() *cobra.Command {
	var q api.RequestQuery
	var failed, follow bool
	var since string
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "The latest requests: who served them and how they ended",
		Example: "  patchbay logs -n 20\n" +
			"  patchbay logs --failed --provider openai\n" +
			"  patchbay logs --follow\n" +
			"  patchbay logs show req_3f2a",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Limit < 1 || q.Limit > api.MaxRequests {
				return usagef("-n is a number from 1 to %d", api.MaxRequests)
			}
			if failed {
				q.State = api.RequestFailed
			}
			if since != "" {
				at, err := ago(since, time.Now())
				if err != nil {
					return err
				}
				q.Since = at
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				var err error
				if q.Key != "" {
					if q.Key, err = keyID(cmd.Context(), svc, q.Key); err != nil {
						return err
					}
				}
				if follow {
					return a.followLogs(cmd.Context(), svc, q)
				}
				return a.logs(cmd.Context(), svc, q)
			})
		},
	}
	f := cmd.Flags()
	f.IntVarP(&q.Limit, "number", "n", 50, "how many `rows`")
	f.BoolVar(&failed, "failed", false, "failed ones only")
	f.BoolVar(&q.Retried, "retried", false, "only those with more than one attempt")
	f.StringVar(&q.Provider, "provider", "", "of this provider `id`")
	f.StringVar(&q.Model, "model", "", "of this `model`")
	f.StringVar(&q.Key, "key", "", "of this client key: its `name` or id")
	f.StringVar(&q.Search, "search", "", "a `text` in a row, or the beginning of its id")
	f.StringVar(&since, "since", "", "a `time`: 24h, 7d, 2026-11-22 or 2026-11-22T14:00:00Z")
	f.BoolVarP(&follow, "follow", "f", false, "go on and print requests as they end")
	cmd.AddCommand(a.logsShowCommand(), a.logsExportCommand())
	return cmd
}

// keyID finds a client key by its name or id.
func keyID(ctx context.Context, svc api.Service, name string) (string, error) {
	keys, err := svc.Keys(ctx)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.ID == name || k.Name == name {
			return k.ID, nil
		}
	}
	for id, own := range backend.OwnKeys { // what Patchbay asks by itself has no key of an app
		if name == id || strings.EqualFold(name, own) {
			return id, nil
		}
	}
	return "", fmt.Errorf("there is no client key %q; `patchbay keys` lists them", name)
}

const logHead = "TIME|ID|STATUS|CLIENT|ASKED|PROVIDER|ACCOUNT|MODEL|TRIES|TIME MS|IN|OUT|ERROR"

func logCells(r api.RequestView) []string {
	failure := r.Kind
	if r.Message != "" {
		failure += ": " + r.Message
	}
	status := strconv.Itoa(r.Status)
	if r.State == api.RequestRunning {
		status = r.State
	}
	return []string{
		shown(r.At), r.ID, status, r.Client, r.Asked, r.Provider, orElse(r.Label, r.Account), r.Model, strconv.Itoa(r.Attempts),
		fmt.Sprint(r.DurationMS), count(r.Tokens.Input), count(r.Tokens.Output), clip(failure),
	}
}

func (a *app) logs(ctx context.Context, svc api.Service, q api.RequestQuery) error {
	page, err := svc.Requests(ctx, q)
	if err != nil {
		return err
	}
	if err := printList(a, page.Items, logHead, logCells, "No request was made yet."); err != nil || page.Lost == nil || a.json {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s were not written: the disk was too slow or full.\n", plural(int(page.Lost.Count), "row"))
	return err
}

// followLogs prints requests as they end, oldest first: a line each, or a line of JSON each.
func (a *app) followLogs(ctx context.Context, svc api.Service, q api.RequestQuery) error {
	seen := map[string]bool{}
	show := q.Limit
	q.Limit = api.MaxRequests // none may be missed
	for {
		page, err := svc.Requests(ctx, q)
		if err != nil {
			return err
		}
		over := slices.DeleteFunc(page.Items, func(r api.RequestView) bool { return r.State == api.RequestRunning })
		now := map[string]bool{}
		for i, r := range slices.Backward(over) {
			now[r.ID] = true
			if seen[r.ID] || i >= show {
				continue
			}
			if err := a.printLine(r); err != nil {
				return err
			}
		}
		seen, show = now, api.MaxRequests
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (a *app) printLine(r api.RequestView) error {
	if a.json {
		return a.printJSON(r)
	}
	cells := logCells(r)
	for i, c := range cells {
		cells[i] = orElse(clean(c), "-")
	}
	_, err := fmt.Fprintln(a.out, strings.Join(cells, "  "))
	return err
}

func (a *app) logsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "One request with its way: who was asked, who was passed over, and why",
		Example: "  patchbay logs show req_3f2a91",
		Args:    nArgs(1, 1, "the id of a request, or its beginning; `patchbay logs` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error { return a.showRequest(cmd.Context(), svc, args[0]) })
		},
	}
}

func (a *app) showRequest(ctx context.Context, svc api.Service, id string) error {
	id, err := fullID(ctx, svc, id)
	if err != nil {
		return err
	}
	d, err := svc.Request(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(d)
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, clean(fmt.Sprintf(format, args...)))
	}
	line("request", "%s at %s", d.ID, shown(d.At))
	line("app", "%s, %s %s, asked for %s", orElse(d.KeyName, orElse(d.Key, "no key")), d.Client, d.Op, orElse(d.Asked, "no model"))
	line("state", "%s, status %d after %d ms, %s", d.State, d.Status, d.DurationMS, plural(d.Attempts, "attempt"))
	if d.Kind != "" {
		line("error", "%s: %s", d.Kind, d.Message)
	}
	line("answered", "%s %s %s", d.Provider, orElse(d.Label, d.Account), d.Model)
	line("tokens", "in %s (cached %s), out %s (reasoning %s)", orElse(count(d.Tokens.Input), "not told"), orElse(count(d.Tokens.Cached), "not told"),
		orElse(count(d.Tokens.Output), "not told"), orElse(count(d.Tokens.Reasoning), "not told"))
	if d.Cost != nil {
		line("cost", "about %s", cost(d.Cost))
	}
	if len(d.Dropped) > 0 {
		line("left out", "%s", strings.Join(d.Dropped, ", "))
	}
	if d.ReplayOf != "" {
		line("replay of", "%s", d.ReplayOf)
	}
	for _, s := range d.Trace {
		line(string(s.What), "%s", strings.Join(slices.DeleteFunc([]string{
			fmt.Sprintf("+%d ms", s.AtMS), s.Provider, orElse(s.Label, s.Account), s.Model, string(s.Rule), s.Kind, s.Message,
		}, func(t string) bool { return t == "" }), "  "))
	}
	_, err = fmt.Fprint(a.out, b.String())
	return err
}

// fullID completes the beginning of an id.
func fullID(ctx context.Context, svc api.Service, id string) (string, error) {
	page, err := svc.Requests(ctx, api.RequestQuery{Search: id, Limit: 10})
	if err != nil {
		return "", err
	}
	for _, r := range page.Items {
		if r.ID == id || strings.HasPrefix(r.ID, id) || strings.HasPrefix(r.ID, "req_"+id) {
			return r.ID, nil
		}
	}
	return id, nil // the answer for it says that there is none
}

func (a *app) logsExportCommand() *cobra.Command {
	q := api.DatasetQuery{Format: record.DatasetChat}
	var since, until string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write kept conversations into a data set, a line of JSON each",
		Long: "Writes the requests whose bodies were kept (record.bodies in the settings) into a file: as conversations in the form of\n" +
			"OpenAI's chat protocol, or raw with both sides before and after the conversion. Credentials are always taken out.\n" +
			"FILE may be - for the standard output.",
		Example: "  patchbay logs export chats.jsonl --success-only --min-turns 2 --redact-emails\n" +
			"  patchbay logs export - --format raw --since 24h | head",
		Args: nArgs(1, 1, "the file to write, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, end := range []struct {
				text string
				at   *time.Time
			}{{since, &q.Since}, {until, &q.Until}} {
				if end.text == "" {
					continue
				}
				var err error
				if *end.at, err = ago(end.text, time.Now()); err != nil {
					return err
				}
			}
			if err := q.Check(); err != nil {
				return usagef("%s", apierror.From(err).Msg)
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				var err error
				if q.Key != "" {
					if q.Key, err = keyID(cmd.Context(), svc, q.Key); err != nil {
						return err
					}
				}
				return a.exportDataset(cmd.Context(), svc, q, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Format, "format", q.Format, "`chat or raw`")
	f.StringVar(&since, "since", "", "a `time`: 24h, 7d, 2026-11-22 or 2026-11-22T14:00:00Z")
	f.StringVar(&until, "until", "", "a `time`")
	f.StringVar(&q.Provider, "provider", "", "of this provider `id`")
	f.StringVar(&q.Model, "model", "", "of this `model`")
	f.StringVar(&q.Key, "key", "", "of this client key: its `name` or id")
	f.BoolVar(&q.SuccessOnly, "success-only", false, "only what was answered")
	f.IntVar(&q.MinTurns, "min-turns", 0, "only with so `many` messages of the user")
	f.BoolVar(&q.Emails, "redact-emails", false, "take e-mail addresses out")
	f.BoolVar(&q.Phones, "redact-phones", false, "take telephone numbers out")
	f.BoolVar(&q.Paths, "redact-paths", false, "take names of persons out of paths")
	return cmd
}

// exportDataset writes beside the file first, so that a data set that is there is whole.
func (a *app) exportDataset(ctx context.Context, svc api.Service, q api.DatasetQuery, path string) error {
	if path == "-" {
		return svc.ExportDataset(ctx, q, a.out)
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the data set: %w", err)
	}
	lines := &lineCounter{w: f}
	if err = errors.Join(svc.ExportDataset(ctx, q, lines), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // the error says enough
		return err
	}
	note := ""
	if lines.n == 0 {
		note = " Nothing matches, or no bodies are kept: record.bodies in the settings turns that on."
	}
	_, err = fmt.Fprintf(a.out, "%s written to %s.%s\n", plural(lines.n, "line"), path, note)
	return err
}

// lineCounter counts lines as they pass.
type lineCounter struct {
	w io.Writer
	n int
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.n += bytes.Count(p, []byte("\n"))
	return l.w.Write(p)
}
