package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	_ "image/gif"  // known to DecodeConfig
	_ "image/jpeg" // known to DecodeConfig
	_ "image/png"  // known to DecodeConfig
	"net/url"
	"strings"
)

// sniffImage recognises an image by its first bytes; ok is false for anything
// that the vendors do not take.
func sniffImage(data []byte) (m media, ok bool) {
	m.size = len(data)
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		m.mime = "image/png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		m.mime = "image/jpeg"
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		m.mime = "image/gif"
	case len(data) > 30 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		m.mime = "image/webp"
		m.width, m.height = webpSize(data)
		return m, true
	default:
		return m, false
	}
	if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		m.width, m.height = c.Width, c.Height
	}
	return m, true
}

// webpSize reads the size from the extended and the lossy header; other files
// have none to show.
func webpSize(data []byte) (int, int) {
	switch string(data[12:16]) {
	case "VP8X":
		w := int(data[24]) | int(data[25])<<8 | int(data[26])<<16
		h := int(data[27]) | int(data[28])<<8 | int(data[29])<<16
		return w + 1, h + 1
	case "VP8 ":
		return int(binary.LittleEndian.Uint16(data[26:])) & 0x3fff, int(binary.LittleEndian.Uint16(data[28:])) & 0x3fff
	}
	return 0, 0
}

// dataURL takes a data: URL apart.
func dataURL(s string) (mime string, data []byte, ok bool) {
	rest, found := strings.CutPrefix(s, "data:")
	if !found {
		return "", nil, false
	}
	head, body, found := strings.Cut(rest, ",")
	mime, isBase64 := strings.CutSuffix(head, ";base64")
	if !found || !isBase64 {
		return "", nil, false
	}
	data, err := base64.StdEncoding.DecodeString(body)
	return mime, data, err == nil
}

// webAddress says whether s is an http or https URL.
func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
