package kiro

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"patchbay/backend/apierror"
	"patchbay/backend/wire"
)

// frame is one message of AWS's binary event stream (application/vnd.amazon.eventstream): total length, length of the
// headers, a checksum of both, headers, payload, and a checksum of all that.
type frame struct {
	messageType   string // event, exception, error
	event         string // :event-type
	exception     string // :exception-type
	code, message string // of an error
	payload       []byte // valid until the next frame
}

const (
	preludeLen = 12
	crcLen     = 4
)

// frames reads one frame after the other. A stream that ends inside a frame, and one whose checksums do not fit, is an error:
// only the end between two frames is an end.
type frames struct {
	r   io.Reader
	buf []byte
}

var errFrame = errors.New("the frame is damaged")

// next returns the next frame, io.EOF at the end, or an *apierror.Error.
func (f *frames) next() (frame, error) {
	var prelude [preludeLen]byte
	n, err := io.ReadFull(f.r, prelude[:])
	switch {
	case err == io.EOF && n == 0:
		return frame{}, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return frame{}, cutOff()
	case err != nil:
		return frame{}, wire.ReadError(err)
	}
	total, headers := binary.BigEndian.Uint32(prelude[0:]), binary.BigEndian.Uint32(prelude[4:])
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return frame{}, damaged("the checksum of a frame's head does not fit")
	}
	if total < preludeLen+crcLen || total > maxFrame || headers > total-preludeLen-crcLen {
		return frame{}, damaged("a frame has an impossible length")
	}
	if err := f.fill(int(total) - preludeLen); err != nil {
		return frame{}, err
	}
	rest := f.buf
	sum := crc32.Update(crc32.ChecksumIEEE(prelude[:]), crc32.IEEETable, rest[:len(rest)-crcLen])
	if sum != binary.BigEndian.Uint32(rest[len(rest)-crcLen:]) {
		return frame{}, damaged("the checksum of a frame does not fit")
	}
	out := frame{payload: rest[headers : len(rest)-crcLen]}
	if err := out.readHeaders(rest[:headers]); err != nil {
		return frame{}, damaged("the headers of a frame cannot be read")
	}
	return out, nil
}

// growStep bounds how much is set aside for a frame before its bytes are there.
const growStep = 256 << 10

// fill reads n bytes into the buffer. A length that was only claimed costs no memory.
func (f *frames) fill(n int) error {
	f.buf = f.buf[:0]
	for len(f.buf) < n {
		step := min(n-len(f.buf), growStep)
		at := len(f.buf)
		if cap(f.buf)-at < step {
			f.buf = append(f.buf, make([]byte, step)...)
		} else {
			f.buf = f.buf[:at+step]
		}
		_, err := io.ReadFull(f.r, f.buf[at:])
		switch {
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return cutOff()
		case err != nil:
			return wire.ReadError(err)
		}
	}
	return nil
}

// Types of header values. Kiro uses strings only.
const (
	headerTrue = iota
	headerFalse
	headerByte
	headerInt16
	headerInt32
	headerInt64
	headerBytes
	headerString
	headerTime
	headerUUID
)

var headerSize = map[byte]int{headerTrue: 0, headerFalse: 0, headerByte: 1, headerInt16: 2, headerInt32: 4, headerInt64: 8, headerTime: 8, headerUUID: 16}

func (f *frame) readHeaders(b []byte) error {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < n+2 {
			return errFrame
		}
		name, typ := string(b[1:1+n]), b[1+n]
		b = b[n+2:]
		size, fixed := headerSize[typ]
		if !fixed {
			if typ != headerBytes && typ != headerString || len(b) < 2 {
				return errFrame
			}
			size = int(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) < size {
			return errFrame
		}
		if typ == headerString {
			f.setHeader(name, string(b[:size]))
		}
		b = b[size:]
	}
	return nil
}

func (f *frame) setHeader(name, value string) {
	switch name {
	case ":message-type":
		f.messageType = value
	case ":event-type":
		f.event = value
	case ":exception-type":
		f.exception = value
	case ":error-code":
		f.code = value
	case ":error-message":
		f.message = value
	}
}

func cutOff() *apierror.Error {
	return apierror.New(apierror.Truncated, "the service cut its answer off in the middle of a frame; try again")
}

func damaged(what string) *apierror.Error {
	e := apierror.New(apierror.Upstream5xx, "the service sent a damaged answer: %s; a proxy on the way may change what it passes", what)
	e.Err = errFrame
	return e
}
