//go:build !linux

package gateway

import "errors"

func openTap(string) (attacher, error) {
	return nil, errors.New("interfaces.tap is for Linux; use qemu or vfkit")
}
