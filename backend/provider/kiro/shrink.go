package kiro

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	_ "image/gif" // pictures that clients send
	"image/jpeg"
	_ "image/png" // pictures that clients send
)

// Limits of what is decoded: a small file may claim a giant picture.
const (
	maxPixels    = 64 << 20
	shrinkRounds = 6
)

var errTooLarge = errors.New("the picture is too large")

// shrink writes a picture as JPEG in the size that the service takes, halving its sides as often as needed.
func shrink(data []byte) ([]byte, error) {
	head, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if head.Width <= 0 || head.Height <= 0 || head.Width > maxPixels/head.Height {
		return nil, errTooLarge
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for range shrinkRounds {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
			return nil, err
		}
		if base64.StdEncoding.EncodedLen(b.Len()) <= maxImageBase64 {
			return b.Bytes(), nil
		}
		img = halved(img)
	}
	return nil, errTooLarge
}

// halved returns a picture of half the width and height, each pixel the mean of four.
func halved(src image.Image) image.Image {
	r := src.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, max(r.Dx()/2, 1), max(r.Dy()/2, 1)))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			var sum [4]uint32
			for i := range 4 {
				px := min(r.Min.X+2*x+i%2, r.Max.X-1)
				py := min(r.Min.Y+2*y+i/2, r.Max.Y-1)
				cr, cg, cb, ca := src.At(px, py).RGBA()
				sum[0], sum[1], sum[2], sum[3] = sum[0]+cr, sum[1]+cg, sum[2]+cb, sum[3]+ca
			}
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] >> 10), uint8(sum[1] >> 10), uint8(sum[2] >> 10), uint8(sum[3] >> 10)})
		}
	}
	return out
}
