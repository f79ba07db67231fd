package main

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIconsAreCurrent draws everything anew and compares it with what is committed. Pictures may differ by a shade:
// processors round differently.
func TestIconsAreCurrent(t *testing.T) {
	files, err := draw("mark.svg")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("%v: run make icons", err)
			continue
		}
		same := bytes.Equal(got, want)
		if !same && strings.HasSuffix(name, ".png") {
			same = alike(t, got, want)
		} else if !same {
			same = len(got) > 0 && near(got, want)
		}
		if !same {
			t.Errorf("%s is not what mark.svg gives: run make icons", name)
		}
	}
	for _, dir := range []string{"app/tray/icons", "build/appicon/out"} {
		entries, err := os.ReadDir(filepath.Join("../..", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			ext := filepath.Ext(e.Name())
			if _, ok := files[dir+"/"+e.Name()]; !ok && (ext == ".png" || ext == ".ico" || ext == ".icns" || ext == ".svg") {
				t.Errorf("%s/%s is drawn by nobody", dir, e.Name())
			}
		}
	}
}

// TestStatesLookDifferent holds that no two states could be taken for each other, on any background, where an icon is
// smallest.
func TestStatesLookDifferent(t *testing.T) {
	d, err := readDrawing("mark.svg")
	if err != nil {
		t.Fatal(err)
	}
	for name, colours := range backgrounds {
		for i, a := range states {
			for _, b := range states[:i] {
				ca, cb := colours, colours
				ca.sign, cb.sign = signs[name][a], signs[name][b]
				if n := differing(d.tray(16, a, ca), d.tray(16, b, cb)); n < 24 {
					t.Errorf("%s: %s and %s differ in %d of 256 pixels", name, a, b, n)
				}
			}
		}
	}
}

// TestTemplateIsBlack: macOS takes a template's alpha as its shape.
func TestTemplateIsBlack(t *testing.T) {
	d, err := readDrawing("mark.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		colours := backgrounds["template"]
		colours.sign = signs["template"][state]
		img := d.tray(trayPNG, state, colours)
		opaque := 0
		for i := 0; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 0 || img.Pix[i+1] != 0 || img.Pix[i+2] != 0 {
				t.Fatalf("%s has colour", state)
			}
			if img.Pix[i+3] == 255 {
				opaque++
			}
		}
		if all := trayPNG * trayPNG; opaque < all/20 || opaque > all/2 {
			t.Errorf("%s: %d of %d pixels are drawn", state, opaque, all)
		}
	}
}

// differing counts pixels of clearly different colour or cover.
func differing(a, b *image.RGBA) int {
	n := 0
	for i := 0; i < len(a.Pix); i += 4 {
		for c := range 4 {
			if d := int(a.Pix[i+c]) - int(b.Pix[i+c]); d > 64 || d < -64 {
				n++
				break
			}
		}
	}
	return n
}

func alike(t *testing.T, got, want []byte) bool {
	g, err := png.Decode(bytes.NewReader(got))
	if err != nil {
		t.Log(err)
		return false
	}
	w, err := png.Decode(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	gn, ok := g.(*image.NRGBA)
	wn, ok2 := w.(*image.NRGBA)
	return ok && ok2 && gn.Rect == wn.Rect && near(gn.Pix, wn.Pix)
}

// near compares bytes that may be a rounding apart.
func near(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if d := int(a[i]) - int(b[i]); d > 3 || d < -3 {
			return false
		}
	}
	return true
}
