/** Pieces that the schemas of several routes share. */
import { Type } from 'typebox';
import type { JsonObject } from '../spec/event.ts';

/** The empty object that says "done". */
export const Done = Type.Object({});

/** Any JSON object. */
export const AnyObject = Type.Unsafe<JsonObject>(Type.Object({}));
