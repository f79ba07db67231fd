package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readFrames(r io.Reader) (out []string, err error) {
	for f, e := range Frames(r) {
		if e != nil {
			return out, e
		}
		out = append(out, f.Name+"|"+string(f.Data))
	}
	return out, nil
}

func TestFramesTolerateWhatServersSend(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"plain":            {"data: a\n\ndata: b\n\n", []string{"|a", "|b"}},
		"no space":         {"data:a\n\n", []string{"|a"}},
		"two spaces":       {"data:  a\n\n", []string{"| a"}},
		"crlf":             {"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []string{"x|a", "|b"}},
		"cr":               {"data: a\r\rdata: b\r\r", []string{"|a", "|b"}},
		"comments":         {": hi\n\n: x\ndata: a\n: y\n\n", []string{"|a"}},
		"several lines":    {"data: a\ndata: b\ndata\n\n", []string{"|a\nb\n"}},
		"bom":              {"\xef\xbb\xbfdata: a\n\n", []string{"|a"}},
		"no last blank":    {"data: a\n\ndata: b", []string{"|a", "|b"}},
		"event only":       {"event: x\n\ndata: a\n\n", []string{"|a"}},
		"unknown fields":   {"id: 7\nretry: 10\ndata: a\n\n", []string{"|a"}},
		"empty":            {"", nil},
		"blank lines":      {"\n\n\ndata: a\n\n\n\n", []string{"|a"}},
		"multi-byte runes": {"data: 日本🎉\n\n", []string{"|日本🎉"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
				got, err := readFrames(r)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestFrameLargerThanAnyScannerBuffer(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	got, err := readFrames(strings.NewReader("data: a\n\ndata: " + big + "\n\ndata: b\n\n"))
	if err != nil || len(got) != 3 || got[1] != "|"+big || got[2] != "|b" {
		t.Errorf("%d frames, %v", len(got), err)
	}
}

func TestReadErrorComesLast(t *testing.T) {
	boom := errors.New("boom")
	got, err := readFrames(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMoreTellsOfAWholeFrameInTheBuffer(t *testing.T) {
	var more []bool
	for f := range Frames(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n")) {
		more = append(more, f.More)
	}
	if d := cmp.Diff([]bool{true, false, false}, more); d != "" {
		t.Error(d)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("event: x\r\ndata: a\r\n\r\n: c\ndata: 日\ndata: b\n\ndata:z"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		whole, err := readFrames(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		n := int(cut)%7 + 1
		pieces, err := readFrames(&cutReader{in, n})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(whole, pieces); d != "" {
			t.Error(d)
		}
	})
}

// cutReader hands out n bytes at a time.
type cutReader struct {
	rest []byte
	n    int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func BenchmarkFrames(b *testing.B) {
	var buf bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&buf, "data: {\"n\":%d,\"text\":\"some words of an answer\"}\n\n", i)
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	for b.Loop() {
		for range Frames(bytes.NewReader(buf.Bytes())) {
		}
	}
}

// sizes notes how much room each read had.
type sizes struct {
	r    io.Reader
	seen []int
}

func (s *sizes) Read(p []byte) (int, error) {
	s.seen = append(s.seen, len(p))
	return s.r.Read(p)
}

func TestBufferFitsTheStream(t *testing.T) {
	small := strings.Repeat("data: a\n\n", 20)
	slow := &sizes{r: iotest.OneByteReader(strings.NewReader(small))}
	fast := &sizes{r: strings.NewReader(strings.Repeat(small, 5000))}
	big := &sizes{r: io.MultiReader(strings.NewReader("data: "+strings.Repeat("x", 1<<20)+"\n\n"), iotest.OneByteReader(strings.NewReader(small)))}
	for _, s := range []*sizes{slow, fast, big} {
		if _, err := readFrames(s); err != nil {
			t.Fatal(err)
		}
	}
	last := func(s *sizes) int { return s.seen[len(s.seen)-1] }
	if last(slow) > slowBuffer || last(big) > slowBuffer {
		t.Errorf("slow streams have buffers of %d and %d bytes", last(slow), last(big))
	}
	if m := slices.Max(fast.seen); m <= fastBuffer/2 || m > fastBuffer {
		t.Errorf("a fast stream has a buffer of %d bytes", m)
	}
}
