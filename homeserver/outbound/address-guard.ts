/**
 * Which addresses may be connected to. Other people choose the names we connect to, so without
 * this a remote server could make ours speak to its own private network.
 *
 * The guard judges the address that is about to be connected to, never a name, so a name that
 * changes its answer between check and use gains nothing.
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#security-considerations
 */
import ipaddr from 'ipaddr.js';

export interface AddressGuardOptions {
  /** Whether private, loopback, link-local and carrier-grade NAT addresses are allowed. */
  readonly allowPrivateAddresses?: boolean;
  /** Ranges in CIDR notation allowed whatever they are. */
  readonly allowedRanges?: readonly string[];
  /** Ranges in CIDR notation refused whatever else is said. */
  readonly refusedRanges?: readonly string[];
}

/** Whether an IP literal (no brackets) may be connected to. Text that is not one is refused. */
export type AddressGuard = (address: string) => boolean;

const PRIVATE_RANGES = new Set([
  'private',
  'loopback',
  'linkLocal',
  'carrierGradeNat',
  'uniqueLocal',
]);

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * The address a packet ends up at: an IPv4 address written as IPv6 (mapped, or through NAT64) is
 * judged as the IPv4 address it stands for.
 */
const effectiveAddress = (text: string): Address | undefined => {
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  if (address.kind() === 'ipv6' && address.range() === 'rfc6052') {
    return ipaddr.fromByteArray(address.toByteArray().slice(12));
  }
  return address;
};

const isWithin = (address: Address, ranges: readonly Range[]): boolean =>
  ranges.some(
    ([network, bits]) => network.kind() === address.kind() && address.match([network, bits]),
  );

/** @throws when a configured range is not in CIDR notation */
export const createAddressGuard = ({
  allowPrivateAddresses = false,
  allowedRanges = [],
  refusedRanges = [],
}: AddressGuardOptions): AddressGuard => {
  const allowed = allowedRanges.map((range) => ipaddr.parseCIDR(range));
  const refused = refusedRanges.map((range) => ipaddr.parseCIDR(range));
  return (text) => {
    const address = effectiveAddress(text);
    if (address === undefined || isWithin(address, refused)) return false;
    if (isWithin(address, allowed)) return true;
    const range = address.range();
    return range === 'unicast' || (allowPrivateAddresses && PRIVATE_RANGES.has(range));
  };
};
