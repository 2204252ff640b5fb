#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# replay.pl LOG DISK SECTORS - LOG is what dm-log-writes recorded of a device:
# each write with its data, in order. Begin with a device of zeroes, do the
# writes one by one, and find the last flush at which it was, byte for byte,
# what DISK is now.

use strict;
use warnings;

my ($FLUSH, $DISCARD, $MARK) = (1, 4, 8);
my $SECTOR = 512;
my $BLOCK = 4096;
my ($log, $disk, $sectors) = @ARGV;

sub get {
	my ($fh, $n) = @_;
	my $data = '';
	while (length($data) < $n) {
		my $r = read($fh, $data, $n - length($data), length($data));
		die "$!\n" if !defined $r;
		die "the log is too short\n" if !$r;
	}
	return $data;
}

open(my $in, '<:raw', $disk) or die "$disk: $!\n";
my $want = get($in, $sectors * $SECTOR);
my $have = "\0" x length($want);

# Blocks that differ now; the device is DISK when there are none.
my %differs;

sub compare {
	my ($from, $to) = @_;
	for (my $b = $from - $from % $BLOCK; $b < $to; $b += $BLOCK) {
		if (substr($have, $b, $BLOCK) eq substr($want, $b, $BLOCK)) {
			delete $differs{$b};
		} else {
			$differs{$b} = 1;
		}
	}
}
compare(0, length($want));

open($in, '<:raw', $log) or die "$log: $!\n";
my ($magic, $version, $entries, $size) = unpack('Q<Q<Q<L<', get($in, $SECTOR));
die "$log is no log of dm-log-writes\n"
	if $magic != hex('6a7366') * 2 ** 32 + hex('77736872') || $version != 1 || $size != $SECTOR;

my ($writes, $last) = (0, undef);
for (1 .. $entries) {
	my ($at, $n, $flags) = unpack('Q<3', get($in, $SECTOR));
	if ($flags & $DISCARD) {
		die "a discard: nobody knows what that left\n";
	} elsif ($n && !($flags & $MARK)) {
		my $from = $at * $SECTOR;
		my $data = get($in, $n * $SECTOR);
		substr($have, $from, length($data)) = $data;
		compare($from, $from + length($data));
		$writes++;
	}
	$last = $writes if !%differs && $flags & $FLUSH;
}
die "flushed, it was at no moment what $disk is now\n" if !defined $last;
my $later = $writes - $last;
print "$writes writes on record. After the first $last and a flush every byte\n",
      "was what $disk has now; $later came later.\n";
die "none came later: the writers were not running\n" if !$later;
