package server

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"patchbay/backend/apierror"
)

// drainLimit is how much of a body that is too large is still read, so that a client which writes before it reads gets
// the answer instead of a broken connection.
const drainLimit = 256 << 20

// readBody reads and unpacks a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	return readEncoded(w, r, limit, strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))))
}

// readEncoded reads a body and unpacks it from encoding, "" = as it is.
func readEncoded(w http.ResponseWriter, r *http.Request, limit int64, encoding string) ([]byte, error) {
	body := io.Reader(r.Body)
	size := r.ContentLength
	switch encoding {
	case "", "identity":
		if size > limit {
			_, _ = io.CopyN(io.Discard, r.Body, drainLimit) // only to let the client finish writing
			return nil, tooLarge(limit)
		}
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, apierror.Invalid("", "the body is not valid gzip, although Content-Encoding says so")
		}
		body, size = z, -1
	case "zstd":
		z, err := zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1<<20))
		if err != nil {
			return nil, apierror.Invalid("", "the body is not valid zstd, although Content-Encoding says so")
		}
		defer z.Close()
		body, size = z, -1
	default:
		e := apierror.Invalid("", "Content-Encoding %q is not supported; send gzip, zstd or plain JSON", encoding)
		return nil, e
	}
	buf, err := readAll(io.LimitReader(body, limit+1), size)
	if err != nil {
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return nil, tooLarge(limit)
		}
		e := apierror.Invalid("", "the body could not be read to its end")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			e.Msg = "the body did not arrive in time (server.limits.read_timeout)"
			w.Header().Set("Connection", "close")
		}
		e.Err = err
		return nil, e
	}
	if int64(len(buf)) > limit {
		_, _ = io.CopyN(io.Discard, r.Body, drainLimit) // as above
		return nil, tooLarge(limit)
	}
	return buf, nil
}

func tooLarge(limit int64) error {
	return apierror.New(apierror.BodyTooLarge, "the request is larger than %s; send less, or raise server.limits.body_bytes", size(limit))
}

func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// readAll is io.ReadAll for a size that is usually known.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	buf := make([]byte, size)
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		if int64(n) < size {
			return nil, io.ErrUnexpectedEOF
		}
		err = nil
	}
	return buf[:n], err
}
