package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
	"patchbay/backend/transfer"
)

// importFlags are the flags of import.
type importFlags struct {
	passphraseFile string
	replace        bool // of an export
	dryRun, moved  bool // of anything else
	yes, fromEnv   bool
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import PATH",
		Short: "Take over accounts from other programs, or restore an export",
		Long: "Takes over what PATH holds, and says what it took, what it left, and why:\n" +
			"  - an export that `patchbay export` made. What is here already stays, unless --replace is given;\n" +
			"  - the login file of Gemini CLI, Antigravity, Kiro, Qwen Code, iFlow or Codex;\n" +
			"  - the folder of AIClient-2-API, or its provider_pools.json, config.json or custom_models.json;\n" +
			"  - the folder of logins of CLIProxyAPI, or its config.yaml;\n" +
			"  - a folder or zip of such files; - reads one file from standard input, for example a pasted one.\n" +
			"Nothing of the other program is changed or deleted.\n\n" +
			"Most logins are renewed in use, and with that every other copy of them becomes void. They are taken only with --moved,\n" +
			"which says that the other program uses them no more. Logins of Google are not like that and are taken in any case.",
		Example: "  patchbay import ~/AIClient-2-API --dry-run         only say what would be done\n" +
			"  patchbay import ~/.cli-proxy-api --moved           that program is stopped for good\n" +
			"  patchbay import ~/.codex/auth.json --moved\n" +
			"  patchbay import --from-env                         keys in the usual variables (OPENAI_API_KEY ...)\n" +
			"  patchbay import patchbay.age                       restore an export",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.fromEnv && len(args) == 0 {
				return nil
			}
			return nArgs(1, 1, "what to import: a file, a folder, a zip, or -")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.importFrom(cmd.Context(), args, f) },
	}
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "of an export: read the passphrase from this `file`")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "of an export: change what is here into what the export holds")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, only say what would be done")
	cmd.Flags().BoolVar(&f.moved, "moved", false, "the other program uses these logins no more: take those too that are renewed in use")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "you have read the labels of the providers and want their accounts all the same")
	cmd.Flags().BoolVar(&f.fromEnv, "from-env", false, "take API keys from the services' usual environment variables")
	return cmd
}

func (a *app) importFrom(ctx context.Context, args []string, f importFlags) error {
	q := api.ImportRequest{DryRun: f.dryRun, Moved: f.moved, AcceptRisk: f.yes}
	if len(args) == 0 {
		return a.with(ctx, func(svc api.Service) error {
			keys, err := keysFromEnv(ctx, svc)
			if err != nil {
				return err
			}
			q.Keys = keys
			return a.takeImport(ctx, svc, q, "the environment")
		})
	}
	if f.fromEnv {
		return usagef("choose one: --from-env or PATH")
	}
	files, err := a.gather(args[0])
	if err != nil {
		return err
	}
	if len(files) == 1 && transfer.IsExport(files[0].Data) {
		if f.dryRun || f.moved || f.yes {
			return usagef("--dry-run, --moved and --yes are not for exports of Patchbay")
		}
		return a.restore(ctx, args[0], files[0].Data, f.passphraseFile, f.replace)
	}
	if f.replace || f.passphraseFile != "" {
		return usagef("--replace and --passphrase-file are for exports of Patchbay, and %s is none", args[0])
	}
	if len(files) == 0 {
		return fmt.Errorf("%s holds no file that could be imported", args[0])
	}
	for _, file := range files {
		q.Files = append(q.Files, api.ImportFile{Name: file.Name, Data: file.Data, Modified: file.Modified, Problem: file.Problem})
	}
	where := args[0]
	if where == "-" {
		where = files[0].Name
	}
	return a.with(ctx, func(svc api.Service) error { return a.takeImport(ctx, svc, q, where) })
}

// gather reads what is to be imported, from standard input too.
func (a *app) gather(path string) ([]transfer.ImportFile, error) {
	if path != "-" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = ""
		}
		files, err := transfer.Gather(path, home)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		return files, nil
	}
	data, err := io.ReadAll(io.LimitReader(a.in, transfer.MaxExport+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if len(data) > transfer.MaxExport {
		return nil, errors.New("standard input is larger than anything that could be imported")
	}
	return []transfer.ImportFile{{Name: "standard input", Data: data}}, nil
}

// keysFromEnv finds the keys in the variables in which people keep them. A variable that several services share counts for
// the first one that it names.
func keysFromEnv(ctx context.Context, svc api.Service) ([]api.ImportKey, error) {
	list, err := svc.Providers(ctx)
	if err != nil {
		return nil, err
	}
	presets, err := svc.Presets(ctx)
	if err != nil {
		return nil, err
	}
	var out []api.ImportKey
	seen := map[string]bool{}
	add := func(id string, names []string) {
		for _, name := range names {
			if v := strings.TrimSpace(os.Getenv(name)); v != "" && !seen[name] {
				seen[name] = true
				out = append(out, api.ImportKey{Provider: id, From: name, Key: secret.New(v)})
			}
		}
	}
	for _, p := range list {
		add(p.ID, p.KeyEnv)
	}
	for _, p := range presets {
		if p.Usable && (p.BaseURL != "" || p.Provider != "") {
			add(p.ID, p.KeyEnv)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no variable is set in which a service's key is usually kept")
	}
	return out, nil
}

func (a *app) takeImport(ctx context.Context, svc api.Service, q api.ImportRequest, where string) error {
	r, err := svc.Import(ctx, q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printImportJSON(r)
	}
	fmt.Fprintf(a.out, "%s from %s.\n", importSums(r), where) // a write that fails is reported by the last one
	if len(r.Items) > 0 {
		fmt.Fprintln(a.out)
		t := newTable(a.out, []string{"", "WHAT", "NAME", "FROM", "NOTE"})
		for _, want := range []string{"taken", "updated", "skipped"} {
			for _, it := range r.Items {
				if it.Outcome == want {
					t.row(it.Outcome, it.Kind, it.Name, it.From, it.Note)
				}
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(a.out, importHints(r))
	return err
}

// printImportJSON prints the report with the key that can be seen only now.
func (a *app) printImportJSON(r api.ImportReport) error {
	type shown struct {
		api.ImportReport
		NewKey string `json:"new_key,omitempty"`
	}
	return a.printJSON(shown{r, r.NewKey.Reveal()})
}

// importSums counts what was taken: "Took 2 accounts, 1 client key; left 3".
func importSums(r api.ImportReport) string {
	count := func(outcome string) string {
		var kinds []string
		n := map[string]int{}
		for _, it := range r.Items {
			if it.Outcome == outcome {
				if n[it.Kind]++; !slices.Contains(kinds, it.Kind) {
					kinds = append(kinds, it.Kind)
				}
			}
		}
		for i, k := range kinds {
			kinds[i] = plural(n[k], k)
		}
		return strings.Join(kinds, ", ")
	}
	verbs := []string{"Took ", "updated ", "left "}
	if r.DryRun {
		verbs = []string{"Nothing was changed. An import would take ", "update ", "leave "}
	}
	text := verbs[0] + cmp.Or(count("taken"), "nothing")
	for i, outcome := range []string{"updated", "skipped"} {
		if c := count(outcome); c != "" {
			text += "; " + verbs[i+1] + c
		}
	}
	return text
}

// importHints says what to do next.
func importHints(r api.ImportReport) string {
	var out strings.Builder
	if r.Unmoved > 0 {
		fmt.Fprintf(&out, "\n%s left because each works in one program only. Stop the other program, or sign out there, and add --moved;\n"+
			"or sign in anew for Patchbay with `patchbay login PROVIDER`: then both go on working. A login that a vendor's own program\n"+
			"keeps can be followed instead: `patchbay accounts found` lists those.\n", wasWere(r.Unmoved, "login"))
	}
	if r.Unread > 0 {
		fmt.Fprintf(&out, "\n%s left because of the labels above. Who has read them and wants the accounts all the same adds --yes.\n", wasWere(r.Unread, "account"))
	}
	if !r.NewKey.Empty() {
		fmt.Fprintf(&out, "\nThe new client key, shown only now:\n\n  %s\n", r.NewKey.Reveal())
	}
	return out.String()
}

func wasWere(n int, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return plural(n, what) + " were"
}
