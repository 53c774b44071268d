module github.com/socksdirect/libsd

go 1.26
