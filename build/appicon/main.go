// Command appicon draws every icon of Patchbay from mark.svg: the program's own in all sizes and containers, and the
// tray's, one per state and background. It is a module of its own, so that the program does not depend on a rasteriser.
package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/srwiley/oksvg"
	"github.com/srwiley/rasterx"
)

func main() {
	root := flag.String("root", "../..", "the repository")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "appicon:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	files, err := draw(filepath.Join(root, "build/appicon/mark.svg"))
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// States and backgrounds of the tray icon. A background is what the icon is drawn for: light has dark lines. On macOS the
// system colours the template itself and looks at its alpha only.
var states = []string{"ok", "attention", "down", "paused"}

type palette struct{ line, cord, sign, tile string }

var (
	appColours  = palette{line: "#f4f6f8", cord: "#58b6f0", tile: "#1d2228"}
	backgrounds = map[string]palette{
		"light":    {line: "#1d2228", cord: "#0064a0"},
		"dark":     {line: "#f4f6f8", cord: "#58b6f0"},
		"template": {line: "#000000", cord: "#000000"},
	}
	signs = map[string]map[string]string{
		"light":    {"attention": "#b86a00", "down": "#c62f3a"},
		"dark":     {"attention": "#f0a63c", "down": "#ff6b70"},
		"template": {"attention": "#000000", "down": "#000000"},
	}
)

var (
	// The sizes of a themed icon on Linux, of a Windows icon and of a notification area at all usual scales.
	pngSizes  = []int{16, 24, 32, 48, 64, 128, 256, 512}
	icoSizes  = []int{16, 20, 24, 32, 40, 48, 64, 256}
	traySizes = []int{16, 20, 24, 32, 40, 48}
)

const trayPNG = 64 // hosts scale it down

// draw makes every file, by its name in the repository.
func draw(source string) (map[string][]byte, error) {
	d, err := readDrawing(source)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"build/appicon/out/patchbay.svg": d.appSVG()}
	// On a tile the mark has air around it; on macOS the tile itself has, as the system's other icons do.
	app := func(size int, margin float64) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, size, size))
		d.paint(img, d.groups["tile"], appColours, margin)
		d.paint(img, d.groups["mark"], appColours, margin+markInTile*(1-2*margin))
		return img
	}
	for _, size := range pngSizes {
		out[fmt.Sprintf("build/appicon/out/patchbay-%d.png", size)] = encodePNG(app(size, 0))
	}
	out["build/appicon/out/patchbay.ico"] = encodeICO(icoSizes, func(size int) *image.RGBA { return app(size, 0) })
	out["build/appicon/out/patchbay.icns"] = encodeICNS(func(size int) []byte { return encodePNG(app(size, 0.0977)) }) // 824 of 1024
	for _, state := range states {
		for name, colours := range backgrounds {
			colours.sign = signs[name][state]
			tray := func(size int) *image.RGBA { return d.tray(size, state, colours) }
			base := "app/tray/icons/" + state + "_" + name
			out[base+".png"] = encodePNG(tray(trayPNG))
			if name != "template" {
				out[base+".ico"] = encodeICO(traySizes, tray)
			}
		}
	}
	return out, nil
}

const markInTile = 0.17

// drawing is mark.svg, by groups.
type drawing struct{ groups map[string]group }

type group struct{ shapes, cuts string }

func readDrawing(path string) (drawing, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return drawing{}, err
	}
	var doc struct {
		Groups []struct {
			ID     string `xml:"id,attr"`
			Shapes []struct {
				XMLName xml.Name
				Attrs   []xml.Attr `xml:",any,attr"`
			} `xml:",any"`
		} `xml:"g"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return drawing{}, fmt.Errorf("reading %s: %w", path, err)
	}
	d := drawing{groups: map[string]group{}}
	for _, g := range doc.Groups {
		var parts group
		for _, s := range g.Shapes {
			var b strings.Builder
			cut := false
			fmt.Fprintf(&b, "<%s", s.XMLName.Local)
			for _, a := range s.Attrs {
				if a.Name.Local == "class" {
					cut = a.Value == "cut"
					continue
				}
				fmt.Fprintf(&b, " %s=%q", a.Name.Local, a.Value)
			}
			b.WriteString("/>\n")
			if cut {
				parts.cuts += b.String()
			} else {
				parts.shapes += b.String()
			}
		}
		d.groups[g.ID] = parts
	}
	for _, id := range append([]string{"tile", "mark"}, states...) {
		if _, ok := d.groups[id]; !ok {
			return drawing{}, fmt.Errorf("%s has no group %q", path, id)
		}
	}
	return d, nil
}

func (p palette) fill(shapes string) string {
	return strings.NewReplacer("{line}", p.line, "{cord}", p.cord, "{sign}", p.sign, "{tile}", p.tile).Replace(shapes)
}

// appSVG is the program's icon as a drawing, for desktops that scale by themselves.
func (d drawing) appSVG() []byte {
	return fmt.Appendf(nil, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 20 20\">\n%s<g transform=\"translate(%g %g) scale(%g)\">\n%s</g>\n</svg>\n",
		appColours.fill(d.groups["tile"].shapes), 20*markInTile, 20*markInTile, 1-2*markInTile, appColours.fill(d.groups["mark"].shapes))
}

// tray is the mark with a state's sign.
func (d drawing) tray(size int, state string, colours palette) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	d.paint(img, d.groups["mark"], colours, 0)
	sign := d.groups[state]
	if sign.cuts != "" {
		hole := image.NewRGBA(img.Rect)
		d.paint(hole, group{shapes: sign.cuts}, colours, 0)
		for i := 0; i < len(img.Pix); i += 4 {
			keep := 255 - int(hole.Pix[i+3])
			for c := range 4 {
				img.Pix[i+c] = uint8((int(img.Pix[i+c])*keep + 127) / 255)
			}
		}
	}
	d.paint(img, sign, colours, 0)
	return img
}

// paint draws the shapes of g over img, leaving margin of its width free on each side.
func (d drawing) paint(img *image.RGBA, g group, colours palette, margin float64) {
	if g.shapes == "" {
		return
	}
	size := float64(img.Rect.Dx())
	doc := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">` + scaleStrokes(colours.fill(g.shapes), size*(1-2*margin)/20) + `</svg>`
	icon, err := oksvg.ReadIconStream(strings.NewReader(doc), oksvg.StrictErrorMode)
	if err != nil {
		panic(fmt.Sprintf("mark.svg holds what cannot be drawn: %v", err))
	}
	icon.SetTarget(margin*size, margin*size, size*(1-2*margin), size*(1-2*margin))
	w, h := img.Rect.Dx(), img.Rect.Dy()
	icon.Draw(rasterx.NewDasher(w, h, rasterx.NewScannerGV(w, h, img, img.Bounds())), 1)
}

var strokeWidth = regexp.MustCompile(`stroke-width="([0-9.]+)"`)

// scaleStrokes makes lines thicker by factor: oksvg scales points, but not the width of lines.
func scaleStrokes(shapes string, factor float64) string {
	return strokeWidth.ReplaceAllStringFunc(shapes, func(attr string) string {
		width, err := strconv.ParseFloat(strokeWidth.FindStringSubmatch(attr)[1], 64)
		if err != nil {
			panic(fmt.Sprintf("mark.svg: %s: %v", attr, err))
		}
		return fmt.Sprintf(`stroke-width="%g"`, width*factor)
	})
}

func encodePNG(img *image.RGBA) []byte {
	var b bytes.Buffer
	// Straight alpha: what reads an icon file expects it.
	straight := image.NewNRGBA(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			straight.Set(x, y, color.NRGBAModel.Convert(img.At(x, y)))
		}
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, straight); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}
