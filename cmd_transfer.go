package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
	"patchbay/backend/transfer"
)

func (a *app) exportCommand() *cobra.Command {
	var file string
	var force bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Save accounts, keys and settings into an encrypted file",
		Long: "Writes your accounts with their logins, the hashes of your client keys and your settings into one file that only the\n" +
			"passphrase opens (the age format). Nothing can be read of it without, and nobody can restore a forgotten passphrase.",
		Example: "  patchbay export patchbay.age                            the passphrase is asked for\n" +
			"  patchbay export patchbay.age --passphrase-file pass.txt",
		Args: nArgs(1, 1, "the name of the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.export(cmd.Context(), args[0], file, force) },
	}
	cmd.Flags().StringVar(&file, "passphrase-file", "", "read the passphrase from this `file`")
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return cmd
}

// passphrase reads the passphrase from a file or the terminal, twice if a mistyped one would lock the person out.
func (a *app) passphrase(file string, twice bool) (secret.Value, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return secret.Value{}, fmt.Errorf("reading the passphrase: %w", err)
		}
		defer f.Close()
		const limit = 4 << 10
		b, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err != nil {
			return secret.Value{}, fmt.Errorf("reading the passphrase: %w", err)
		}
		if len(b) > limit {
			return secret.Value{}, errors.New("this is too long for a passphrase; is it the right file?")
		}
		return secret.New(strings.TrimRight(strings.TrimPrefix(string(b), "\ufeff"), "\r\n")), nil
	}
	first, err := a.ask("Passphrase: ")
	if err != nil || !twice {
		return first, err
	}
	again, err := a.ask("The same again: ")
	if err != nil {
		return secret.Value{}, err
	}
	if first != again {
		return secret.Value{}, errors.New("the two passphrases differ; nothing was written")
	}
	return first, nil
}

func (a *app) ask(question string) (secret.Value, error) {
	text, ok, err := a.prompt(question)
	if err != nil {
		return secret.Value{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	if !ok {
		return secret.Value{}, usagef("there is no terminal to ask at: give the passphrase with --passphrase-file FILE")
	}
	return secret.New(text), nil
}

func (a *app) export(ctx context.Context, path, passphraseFile string, force bool) error {
	if _, err := os.Stat(path); err == nil && !force {
		return fmt.Errorf("%s is there already; choose another name, or write over it with --force", path)
	}
	pass, err := a.passphrase(passphraseFile, true)
	if err != nil {
		return err
	}
	if err := transfer.CheckPassphrase(pass); err != nil {
		return err
	}
	return a.with(ctx, func(svc api.Service) error {
		out, err := svc.Export(ctx, pass)
		if err != nil {
			return err
		}
		if err := writeWhole(path, out.Data); err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
		return a.printCarried(out.Report, "Saved", "into "+path)
	})
}

// writeWhole writes a file whole or not at all, for its owner only.
func writeWhole(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".patchbay-export-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the rename it is gone
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func (a *app) restore(ctx context.Context, path string, data []byte, passphraseFile string, replace bool) error {
	if len(data) > transfer.MaxExport {
		return fmt.Errorf("%s is larger than any export", path)
	}
	pass, err := a.passphrase(passphraseFile, false)
	if err != nil {
		return err
	}
	return a.with(ctx, func(svc api.Service) error {
		report, err := svc.Restore(ctx, api.RestoreRequest{Passphrase: pass, Data: data, Replace: replace})
		if err != nil {
			return err
		}
		return a.printCarried(report, "Restored", "from "+path)
	})
}

func (a *app) printCarried(r api.CarryReport, did, where string) error {
	if a.json {
		return a.printJSON(r)
	}
	counts := map[string]int{}
	for _, it := range r.Taken {
		counts[it.Kind]++
	}
	var parts []string
	for _, kind := range []string{transfer.KindAccount, transfer.KindKey, transfer.KindSetting} {
		if counts[kind] > 0 {
			parts = append(parts, plural(counts[kind], kind))
		}
	}
	if _, err := fmt.Fprintf(a.out, "%s %s %s.\n", did, cmp.Or(strings.Join(parts, ", "), "nothing"), where); err != nil {
		return err
	}
	t := newTable(a.out, []string{"", "WHAT", "NAME", "NOTE"})
	rows := 0
	for _, it := range r.Taken {
		if it.Note != "" {
			t.row("taken", it.Kind, it.Name, it.Note)
			rows++
		}
	}
	for _, it := range r.Skipped {
		t.row("left", it.Kind, it.Name, it.Note)
		rows++
	}
	if rows == 0 {
		return nil
	}
	fmt.Fprintln(a.out) // a write that fails is reported by Flush
	return t.Flush()
}
