package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFirstLooksWithoutTaking(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for in, want := range map[string]string{
		"data: a": "data: a", " \r\n\t{}": "{}", "\xef\xbb\xbf[]": "[]", "\n" + long: long, strings.Repeat("\n", 1500) + "a b": "a b", "": "", " \n": "",
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)), "end with data": iotest.DataErrReader(strings.NewReader(in)),
		} {
			first, rest, err := First(r)
			if want == "" {
				if err != io.EOF {
					t.Errorf("%.20q, %s: %v", in, name, err)
				}
			} else if err != nil || first != want[0] {
				t.Errorf("%.20q, %s: %q, %v", in, name, first, err)
			}
			if got, err := io.ReadAll(rest); err != nil || string(got) != want {
				t.Errorf("%.20q, %s: %.20q, %v", in, name, got, err)
			}
		}
	}
}

func TestFirstKeepsAnError(t *testing.T) {
	boom := errors.New("boom")
	if _, rest, err := First(io.MultiReader(strings.NewReader("  "), iotest.ErrReader(boom))); err != boom {
		t.Error(err)
	} else if _, err := io.ReadAll(rest); err != boom {
		t.Error(err)
	}
	_, rest, err := First(iotest.TimeoutReader(strings.NewReader("data")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rest); string(got) != "data" || !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%q, %v", got, err)
	}
}
