package main

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// encodeICO packs one picture per size. Below 256 pixels they are bitmaps: some readers of Windows icons, among them
// makers of installers, know PNG only for the large one.
func encodeICO(sizes []int, draw func(size int) *image.RGBA) []byte {
	le := binary.LittleEndian
	head := le.AppendUint16(nil, 0)
	head = le.AppendUint16(head, 1) // an icon, not a cursor
	head = le.AppendUint16(head, uint16(len(sizes)))
	var body []byte
	start := len(head) + 16*len(sizes)
	for _, size := range sizes {
		img := draw(size)
		var pic []byte
		if size >= 256 {
			pic = encodePNG(img)
		} else {
			pic = encodeDIB(img)
		}
		side := byte(size) // 256 is written as 0
		head = append(head, side, side, 0, 0)
		head = le.AppendUint16(head, 1)
		head = le.AppendUint16(head, 32)
		head = le.AppendUint32(head, uint32(len(pic)))
		head = le.AppendUint32(head, uint32(start+len(body)))
		body = append(body, pic...)
	}
	return append(head, body...)
}

// encodeDIB is a bitmap as icons hold it: bottom row first, BGRA, then a mask of one bit per pixel for those who cannot
// blend.
func encodeDIB(img *image.RGBA) []byte {
	le := binary.LittleEndian
	n := img.Rect.Dx()
	b := le.AppendUint32(nil, 40)
	b = le.AppendUint32(b, uint32(n))
	b = le.AppendUint32(b, uint32(2*n)) // picture and mask
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 32)
	b = append(b, make([]byte, 24)...)
	row := (n + 31) / 32 * 4
	mask := make([]byte, row*n)
	for y := n - 1; y >= 0; y-- {
		for x := range n {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			b = append(b, c.B, c.G, c.R, c.A)
			if c.A < 128 {
				mask[(n-1-y)*row+x/8] |= 0x80 >> (x % 8)
			}
		}
	}
	return append(b, mask...)
}

// icnsTypes are the members of a macOS icon that hold PNG, and their size in pixels.
var icnsTypes = []struct {
	name string
	size int
}{
	{"icp4", 16}, {"icp5", 32}, {"ic07", 128}, {"ic08", 256}, {"ic09", 512}, {"ic10", 1024},
	{"ic11", 32}, {"ic12", 64}, {"ic13", 256}, {"ic14", 512}, // the same for displays of twice the density
}

func encodeICNS(draw func(size int) []byte) []byte {
	var body bytes.Buffer
	for _, t := range icnsTypes {
		pic := draw(t.size)
		body.WriteString(t.name)
		body.Write(binary.BigEndian.AppendUint32(nil, uint32(len(pic)+8)))
		body.Write(pic)
	}
	return append(binary.BigEndian.AppendUint32([]byte("icns"), uint32(body.Len()+8)), body.Bytes()...)
}
