package account

import "slices"

// manyScopes is the bit of all scopes that got none of their own: accounts with it are looked at one by one.
const manyScopes = uint64(1) << 63

// scopes gives the scopes for which accounts of a pool rest (models, and patterns of models) a bit each, so that a choice
// sees by one comparison whether an account rests for a model. There are 63; what comes beyond shares the last one.
type scopes struct {
	bits     map[string]int
	names    [63]string
	uses     [63]int // accounts that rest for it
	patterns []int   // bits of those that are patterns
}

// hold returns the bit of a scope and counts one more account that rests for it.
func (s *scopes) hold(scope string) uint64 {
	i, ok := s.bits[scope]
	if !ok {
		if i = slices.Index(s.uses[:], 0); i < 0 {
			return manyScopes
		}
		if s.bits == nil {
			s.bits = map[string]int{}
		}
		s.bits[scope], s.names[i] = i, scope
		if isPattern(scope) {
			s.patterns = append(s.patterns, i)
		}
	}
	s.uses[i]++
	return 1 << i
}

// release counts one account less for each scope of a set.
func (s *scopes) release(set uint64) {
	for i := 0; set != 0 && i < len(s.uses); i++ {
		if set&(1<<i) == 0 {
			continue
		}
		set &^= 1 << i
		if s.uses[i]--; s.uses[i] == 0 {
			delete(s.bits, s.names[i])
			s.names[i] = ""
			s.patterns = slices.DeleteFunc(s.patterns, func(p int) bool { return p == i })
		}
	}
}

// of returns the scopes that keep a model from being served.
func (s *scopes) of(model string) (set uint64) {
	if i, ok := s.bits[model]; ok {
		set = 1 << i
	}
	for _, i := range s.patterns {
		if matches(s.names[i], model) {
			set |= 1 << i
		}
	}
	return set
}
