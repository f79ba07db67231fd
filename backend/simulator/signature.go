package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// signingKey is fixed: a signature made by one run of the simulator is good in
// the next, as the vendor's are.
var signingKey = []byte("simulated signatures protect nothing")

// mint signs a thinking text. The envelope looks like Claude's: field 2 holds
// field 1, which is a message whose field 1 is the number 12 and whose field 6
// names the model; then come a nonce and the mac. In base64 it begins with E.
func mint(text, model string, serial int) string {
	nonce := binary.BigEndian.AppendUint64(nil, uint64(serial))
	inner := append([]byte{0x08, 12}, field(6, []byte(model))...)
	body := field(1, inner)
	body = append(body, field(2, nonce)...)
	body = append(body, field(3, mac(nonce, text))...)
	return base64.StdEncoding.EncodeToString(append(field(2, body), 0x18, 0x01))
}

// verify says whether a signature was minted for exactly this text.
func verify(text, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	body, ok := take(raw, 2)
	if !ok {
		return false
	}
	parts := map[int][]byte{}
	for rest := body; len(rest) > 0; {
		n := int(rest[0] >> 3)
		value, ok := take(rest, n)
		if !ok {
			return false
		}
		parts[n], rest = value, rest[len(field(n, value)):]
	}
	return hmac.Equal(parts[3], mac(parts[2], text))
}

// redact makes the data of a block that only the vendor can read.
func redact(model string, serial int) string { return mint("redacted", model, serial) }

func mac(nonce []byte, text string) []byte {
	h := hmac.New(sha256.New, signingKey)
	h.Write(nonce)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// field writes a length-delimited protobuf field.
func field(n int, value []byte) []byte {
	out := []byte{byte(n<<3 | 2)}
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}

// take reads the length-delimited field that data begins with.
func take(data []byte, n int) ([]byte, bool) {
	if len(data) < 2 || data[0] != byte(n<<3|2) {
		return nil, false
	}
	size, used := binary.Uvarint(data[1:])
	if used <= 0 || size > uint64(len(data)-1-used) {
		return nil, false
	}
	return data[1+used : 1+used+int(size)], true
}
