#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# pair.pl - an application with its data on two file systems, for the demo: an
# order goes to the one and is synced, then its booking goes to the other and is
# synced. So there are never more bookings than orders, and never more than one
# order that waits to be booked: on the disks, and in any copy of both that is
# worth having.
#
#	pair.pl write ORDERS BOOKINGS	until SIGTERM
#	pair.pl check ORDERS BOOKINGS	does the pair agree? 0: yes

use strict;
use warnings;
use IO::Handle;

my $LEN = 64;

sub line { return sprintf("%-*s\n", $LEN - 1, "$_[0] number $_[1]"); }

sub append {
	my ($fh, $what, $n) = @_;
	syswrite($fh, line($what, $n)) == $LEN or die "$what $n: $!\n";
	$fh->sync or die "$what $n: fsync: $!\n";
}

sub write_pair {
	my ($stop, $n) = (0, 0);
	$SIG{TERM} = sub { $stop = 1 };
	open(my $orders, '>', $_[0]) or die "$_[0]: $!\n";
	open(my $bookings, '>', $_[1]) or die "$_[1]: $!\n";
	while (!$stop) {
		append($orders, 'order', ++$n);
		append($bookings, 'booking', $n);
	}
}

# How many there are, all of them whole and in order.
sub count {
	my ($file, $what) = @_;
	my $n = 0;
	open(my $fh, '<', $file) or die "$file: $!\n";
	while (my $got = <$fh>) {
		$got eq line($what, ++$n) or die "$what $n is torn\n";
	}
	return $n;
}

my $verb = shift // '';
if ($verb eq 'write' && @ARGV == 2) {
	write_pair(@ARGV);
} elsif ($verb eq 'check' && @ARGV == 2) {
	my $orders = count($ARGV[0], 'order');
	my $bookings = count($ARGV[1], 'booking');
	print "$orders orders, $bookings bookings\n";
	exit($orders < 1 || $bookings > $orders || $bookings + 1 < $orders);
} else {
	die "usage: pair.pl write|check ORDERS BOOKINGS\n";
}
