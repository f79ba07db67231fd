package doctor

// File is a credential file of another program. State is as the management API says it.
type File struct {
	ID, Provider, Path, Program, State, Note string
	Account                                  string // name of the account that follows it, or is the same person's
}

// files says what was found in the files of other programs, and what hinders accounts that follow one.
func files(f Facts, _ System) []Finding {
	var out []Finding
	for _, c := range f.Files {
		owner := c.Program
		if owner == "" {
			owner = "another program"
		}
		named := params{"owner": owner, "provider": c.Provider, "file": c.ID, "account": c.Provider + "/" + c.Account}
		switch c.State {
		case "found":
			out = append(out, Finding{
				ID: "credential_file.found", Level: OK, Code: "credential_file.found", Params: named,
				Title: "A login of " + owner + " was found and is not used", Detail: c.Path,
				Fix: "`patchbay accounts borrow " + c.ID + "` uses it as an account of " + c.Provider + ".",
			})
		case "unreadable":
			out = append(out, Finding{
				ID: "credential_file.unreadable", Level: Warn, Code: "credential_file.unreadable", Params: named,
				Title: "The credential file of " + owner + " cannot be read", Detail: c.Path + ": " + c.Note,
				Fix: "Check who may read it. If it is damaged, sign in with that program again.",
			})
		case "gone", "changed", "empty":
			if c.Account == "" {
				continue
			}
			code, fix := "credential_file.lost", "Sign in with that program again, or let go of it: `patchbay accounts release "+c.ID+"`."
			if c.State == "changed" {
				code, fix = "credential_file.changed", "`patchbay accounts release "+c.ID+"` lets go of the old login; `patchbay accounts borrow "+c.ID+"` then takes the new one."
			}
			out = append(out, Finding{
				ID: "credential_file." + c.State, Level: Problem, Code: code, Params: named,
				Title:  "The account " + c.Provider + "/" + c.Account + " has lost its credential file",
				Detail: c.Path + ": " + c.Note, Fix: fix,
			})
		}
	}
	return out
}
