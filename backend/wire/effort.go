package wire

// efforts are the reasoning levels with the budget of thinking tokens that stands for each, from least to most (the
// table of CLIProxyAPI, equal to Google's OpenAI-compatible endpoint for low, medium and high).
var efforts = []struct {
	name   string
	budget int64
}{
	{"none", 0}, {"minimal", 512}, {"low", 1024}, {"medium", 8192}, {"high", 24576}, {"xhigh", 32768}, {"max", 128000},
}

// BudgetOfEffort returns the thinking tokens that stand for a level: 0 for none, -1 for auto. ok is false for a word that
// is no level.
func BudgetOfEffort(effort string) (budget int64, ok bool) {
	if effort == "auto" {
		return -1, true
	}
	for _, e := range efforts {
		if e.name == effort {
			return e.budget, true
		}
	}
	return 0, false
}

// EffortOfBudget returns the level that stands for a budget of thinking tokens: "none" for 0, "auto" for a negative one.
func EffortOfBudget(budget int64) string {
	switch {
	case budget < 0:
		return "auto"
	case budget == 0:
		return "none"
	case budget <= 512:
		return "minimal"
	case budget <= 1024:
		return "low"
	case budget <= 8192:
		return "medium"
	case budget <= 24576:
		return "high"
	default:
		return "xhigh"
	}
}

// ClampEffort returns the level of known that is nearest to effort: itself, else the next lower one, else the lowest
// known. With no known levels, xhigh and max become high and minimal stays.
func ClampEffort(effort string, known []string) string {
	if len(known) == 0 {
		if effort == "xhigh" || effort == "max" {
			return "high"
		}
		return effort
	}
	at := effortIndex(effort)
	best, lowest := "", ""
	for _, e := range efforts {
		for _, k := range known {
			if k != e.name {
				continue
			}
			if lowest == "" {
				lowest = k
			}
			if effortIndex(k) <= at {
				best = k
			}
		}
	}
	if best == "" {
		return lowest
	}
	return best
}

func effortIndex(name string) int {
	for i, e := range efforts {
		if e.name == name {
			return i
		}
	}
	return -1
}
