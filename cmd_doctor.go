package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/logging"
)

func (a *app) doctorCommand() *cobra.Command {
	var bundle string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What is wrong and how to mend it",
		Long: "Looks at settings, port, database, secrets, accounts and keys. Ends with 1 if something does not work.\n\n" +
			"With --bundle it also writes a zip for those who help: the findings, versions, settings, states and the latest lines of the\n" +
			"log, without a key, a login, a name or the text of a request.",
		Example: "  patchbay doctor --bundle report.zip",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if bundle != "" {
				if err := a.bundle(cmd.Context(), bundle); err != nil {
					return err
				}
			}
			return a.doctor(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&bundle, "bundle", "", "also write a report for those who help to this `FILE`, without secrets")
	return cmd
}

// bundle writes the report. Where Patchbay does not even open, it holds what can be seen from outside.
func (a *app) bundle(ctx context.Context, path string) error {
	var files []api.SupportFile
	err := a.with(ctx, func(svc api.Service) (err error) {
		files, err = svc.Support(ctx)
		return err
	})
	if err != nil {
		findings, err := a.emergency(err)
		if err != nil {
			return err
		}
		data, err := json.Marshal(findings, jsontext.WithIndent("  "))
		if err != nil {
			return fmt.Errorf("writing the findings: %w", err)
		}
		files = []api.SupportFile{{Name: "doctor.json", Data: []byte(logging.Redact(string(data)))}}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; name another file", path)
	}
	if err == nil {
		err = errors.Join(api.ZipSupport(f, files), f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if !a.json { // findings alone are read by programs
		_, _ = fmt.Fprintf(a.out, "Wrote %s. Look at it before you pass it on.\n\n", path)
	}
	return nil
}

func (a *app) doctor(ctx context.Context) error {
	var findings []api.Finding
	err := a.with(ctx, func(svc api.Service) (err error) {
		findings, err = svc.Doctor(ctx)
		return err
	})
	if err != nil {
		if findings, err = a.emergency(err); err != nil {
			return err
		}
	}
	if err := a.printFindings(findings); err != nil {
		return err
	}
	if doctor.Worst(findings) == doctor.Problem {
		return errTold
	}
	return nil
}

// emergency looks at what can be seen when Patchbay does not even open, which is when a doctor is needed most.
func (a *app) emergency(cause error) ([]api.Finding, error) {
	paths, err := a.paths()
	if err != nil {
		return nil, err
	}
	facts := doctor.Facts{ConfigPath: paths.Config}
	for _, e := range config.Errors(cause) {
		facts.ConfigProblems = append(facts.ConfigProblems, e.Error())
	}
	var out []api.Finding
	if len(facts.ConfigProblems) == 0 {
		out = append(out, api.Finding{
			ID: "start", Level: doctor.Problem, Code: "start.broken", Title: "Patchbay does not open", Detail: message(cause),
			Fix: "Mend what the line above says; if it stays unclear, `patchbay serve` tells more.",
		})
	}
	for _, f := range doctor.Check(facts, doctor.ThisMachine()) {
		switch f.ID { // the others would be told without being known
		case "config", "proxy_env", "claude_login", "clock":
			out = append(out, f)
		}
	}
	return out, nil
}

var marks = map[doctor.Level]string{doctor.OK: "ok     ", doctor.Warn: "note   ", doctor.Problem: "PROBLEM"}

func (a *app) printFindings(findings []api.Finding) error {
	if a.json {
		return a.printJSON(findings)
	}
	var b strings.Builder
	problems := 0
	for _, f := range findings {
		fmt.Fprintf(&b, "%s  %s\n", marks[f.Level], clean(f.Title))
		for _, text := range []string{f.Detail, f.Fix} {
			if text == "" {
				continue
			}
			for line := range strings.SplitSeq(text, "\n") {
				fmt.Fprintf(&b, "         %s\n", strings.TrimRight(clean(line), " "))
			}
		}
		if f.Level == doctor.Problem {
			problems++
		}
	}
	if problems == 0 {
		b.WriteString("\nNothing needs mending.\n")
	} else {
		fmt.Fprintf(&b, "\n%s to mend.\n", plural(problems, "problem"))
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": versionText(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.out, "patchbay %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
