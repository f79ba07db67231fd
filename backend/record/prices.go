package record

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"patchbay/backend/canon"
	"patchbay/backend/store"
)

// PricesFile is the name of a person's own prices, next to config.yaml.
const PricesFile = "prices.yaml"

//go:embed prices.yaml
var builtInPrices []byte

// Price is what a service asks for a million tokens, in the currency of the table. What is nil is not known: cached input
// and cache writes then count as input.
type Price struct {
	// Providers are ids of providers or presets whose price this is; none = any that has a model of this name.
	Providers  []string `yaml:"providers,omitempty" json:"providers,omitempty"`
	Models     []string `yaml:"models" json:"models"` // names, or patterns in which * stands for any text
	Input      *float64 `yaml:"input" json:"input"`
	Cached     *float64 `yaml:"cached,omitempty" json:"cached,omitempty"`
	CacheWrite *float64 `yaml:"cache_write,omitempty" json:"cache_write,omitempty"`
	Output     *float64 `yaml:"output" json:"output"`
	AsOf       string   `yaml:"as_of" json:"as_of"`                       // the day on which it held, 2026-11-22
	Source     string   `yaml:"source,omitempty" json:"source,omitempty"` // where it stands
	Note       string   `yaml:"note,omitempty" json:"note,omitempty"`     // what it leaves out
	Own        bool     `yaml:"-" json:"own,omitempty"`                   // from the person's file
}

// priceFile is the form of prices.yaml.
type priceFile struct {
	Currency string  `yaml:"currency"`
	AsOf     string  `yaml:"as_of"`
	Prices   []Price `yaml:"prices"`
}

// Prices is a table of prices. It is never changed once it was made; a nil one knows nothing.
type Prices struct {
	Currency string // ISO 4217
	AsOf     string // the day of the built-in table
	list     []Price
	services func(provider string) []string
}

// Cost returns what tokens cost.
func (p Price) Cost(t store.Tokens) float64 {
	in := deref(p.Input, 0)
	fresh := max(t.Input, 0)
	cached, written := min(max(t.Cached, 0), fresh), min(max(t.CacheWrite, 0), fresh)
	fresh = max(fresh-cached-written, 0)
	sum := float64(fresh)*in + float64(cached)*deref(p.Cached, in) + float64(written)*deref(p.CacheWrite, in) + float64(max(t.Output, 0))*deref(p.Output, 0)
	return sum / 1e6
}

func deref(p *float64, otherwise float64) float64 {
	if p == nil {
		return otherwise
	}
	return *p
}

// LoadPrices reads the built-in table and the person's file over it; a file that is not there changes nothing. services
// returns what a provider may be called in the table: its id, and the preset that it is made from. When the file cannot be
// read the built-in table comes with the error.
func LoadPrices(file string, services func(provider string) []string) (*Prices, error) {
	p, err := parsePrices(builtInPrices)
	if err != nil {
		return &Prices{services: services}, fmt.Errorf("reading the prices of this version: %w", err)
	}
	table := &Prices{Currency: p.Currency, AsOf: p.AsOf, list: p.Prices, services: services}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return table, nil
	}
	if err != nil {
		return table, fmt.Errorf("reading your prices: %w", err)
	}
	own, err := parsePrices(data)
	if err != nil {
		return table, fmt.Errorf("reading your prices in %s: %w", file, err)
	}
	if own.Currency != "" && own.Currency != table.Currency {
		return table, fmt.Errorf("reading your prices in %s: prices are in %s, not in %s", file, table.Currency, own.Currency)
	}
	for i := range own.Prices {
		own.Prices[i].Own = true
	}
	table.list = append(own.Prices, table.list...)
	return table, nil
}

func parsePrices(data []byte) (priceFile, error) {
	var f priceFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return f, err
	}
	for i := range f.Prices {
		p := &f.Prices[i]
		if p.AsOf == "" {
			p.AsOf = f.AsOf
		}
		if err := p.Check(); err != nil {
			return f, fmt.Errorf("prices[%d]: %w", i, err)
		}
	}
	return f, nil
}

// PriceError says which member of a price is wrong.
type PriceError struct{ Field, Msg string }

func (e *PriceError) Error() string { return e.Field + ": " + e.Msg }

// Check reports what is wrong with a price. The error is *PriceError.
func (p *Price) Check() error {
	if len(p.Models) == 0 || slices.Contains(p.Models, "") {
		return &PriceError{"models", "name the models, for example [gpt-5, gpt-5-*]"}
	}
	for _, v := range []struct {
		name  string
		value *float64
		must  bool
	}{{"input", p.Input, true}, {"output", p.Output, true}, {"cached", p.Cached, false}, {"cache_write", p.CacheWrite, false}} {
		switch {
		case v.value == nil && v.must:
			return &PriceError{v.name, "a price per million tokens is missing"}
		case v.value != nil && !(*v.value >= 0 && *v.value < 1e6):
			return &PriceError{v.name, "a price per million tokens is a number from 0"}
		}
	}
	if _, err := time.Parse(time.DateOnly, p.AsOf); err != nil {
		return &PriceError{"as_of", "say on which day the price held, for example 2026-11-22"}
	}
	return nil
}

// List returns the table, the person's own prices first.
func (p *Prices) List() []Price {
	if p == nil {
		return nil
	}
	return slices.Clone(p.list)
}

// Find returns the price of a provider's model. The person's own come first; of the others the one that names the model best.
func (p *Prices) Find(provider, model string) (Price, bool) {
	if p == nil || model == "" {
		return Price{}, false
	}
	names := []string{provider}
	if p.services != nil {
		names = p.services(provider)
	}
	best, rank := Price{}, -1
	for _, price := range p.list {
		r := price.fits(names, model)
		if r >= 0 && price.Own {
			r += 1 << 20
		}
		if r > rank {
			best, rank = price, r
		}
	}
	return best, rank >= 0
}

// fits says how well a price names a model: the more letters stand for themselves the better, -1 not at all.
func (p *Price) fits(names []string, model string) int {
	if len(p.Providers) > 0 && !slices.ContainsFunc(p.Providers, func(id string) bool { return slices.Contains(names, id) }) {
		return -1
	}
	rank := -1
	for _, m := range p.Models {
		if m == model {
			return 1 << 10
		}
		if canon.Matches(m, model) {
			rank = max(rank, len(m)-strings.Count(m, "*"))
		}
	}
	if rank >= 0 && len(p.Providers) > 0 {
		rank++
	}
	return rank
}

// WritePrices makes list the person's file; an empty one takes the file away. The error of a price that is wrong is
// *PriceError.
func WritePrices(file string, list []Price) error {
	for i := range list {
		if err := list[i].Check(); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing your prices: %w", err)
		}
		return nil
	}
	data, err := yaml.Marshal(struct {
		Prices []Price `yaml:"prices"`
	}{list})
	if err != nil {
		return fmt.Errorf("writing your prices: %w", err)
	}
	head := "# Your own prices per million tokens; they come before those of this version. `patchbay usage` and the page show what\n" +
		"# requests cost by them.\n"
	return writeWhole(file, append([]byte(head), data...))
}

// writeWhole replaces a file so that it is the old or the new one at any instant.
func writeWhole(file string, data []byte) error {
	tmp := file + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		_ = os.Remove(tmp) // the error says enough
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
