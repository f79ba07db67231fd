package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "What is wrong and how to mend it",
		Long:  "Looks at settings, port, database, secrets, accounts and keys. Ends with 1 if something does not work.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
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
			ID: "start", Level: doctor.Problem, Title: "Patchbay does not open", Detail: message(cause),
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
