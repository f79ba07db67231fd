package account

import "time"

// CheckResult is what the last check of an account found.
type CheckResult struct {
	At   time.Time
	Kind string // of what is wrong, "" = nothing
	Note string // what is wrong, or good to know
}
