package http

import (
	"bytes"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/udpshard/udpshard/internal/ship"
)

// body is the body of requests. Buffers and compressors are used again for each request.
type body struct {
	compression string // gzip, zstd, none
	buffers     *buffers
	gzip        *gzip.Writer
	zstd        *zstd.Encoder
}

// buffers have the body of a request, and count the readers: the client may read a body after the
// answer has come, if the server answers before the end of the request.
type buffers struct {
	plain   []byte
	packed  []byte // of gzip and zstd
	readers atomic.Int32
}

// Write appends to packed.
func (b *buffers) Write(p []byte) (int, error) {
	b.packed = append(b.packed, p...)
	return len(p), nil
}

// write makes the body of the records part.
func (y *body) write(f format, b *ship.Batch, part []int) (err error) {
	if y.buffers == nil || y.buffers.readers.Load() > 0 {
		y.buffers = new(buffers)
	}
	w := y.buffers
	w.plain = f.append(w.plain[:0], b, part)
	w.packed = w.packed[:0]
	switch y.compression {
	case "gzip":
		if y.gzip == nil {
			// BestSpeed: a third of the CPU of the default, for bodies of logs that are a fifth
			// larger.
			y.gzip, err = gzip.NewWriterLevel(w, gzip.BestSpeed)
			if err != nil {
				return err
			}
		}
		y.gzip.Reset(w)
		if _, err := y.gzip.Write(w.plain); err != nil {
			return err
		}
		return y.gzip.Close()
	case "zstd":
		if y.zstd == nil {
			// A window of 512 KiB keeps the encoder small; servers must accept 8 MiB (RFC 9659).
			y.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
				zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(512<<10))
			if err != nil {
				return err
			}
		}
		w.packed = y.zstd.EncodeAll(w.plain, w.packed)
	}
	return nil
}

// attach makes the body the body of a request.
func (y *body) attach(r *http.Request) {
	w, data := y.buffers, y.buffers.packed
	if y.compression == "none" {
		data = y.buffers.plain
	} else {
		r.Header.Set("Content-Encoding", y.compression)
	}
	r.ContentLength = int64(len(data))
	r.GetBody = func() (io.ReadCloser, error) {
		w.readers.Add(1)
		return &reader{Reader: bytes.NewReader(data), of: w}, nil
	}
	r.Body, _ = r.GetBody()
}

// reader is a reader of a body.
type reader struct {
	*bytes.Reader
	of     *buffers
	closed atomic.Bool
}

func (r *reader) Close() error {
	if !r.closed.Swap(true) {
		r.of.readers.Add(-1)
	}
	return nil
}
