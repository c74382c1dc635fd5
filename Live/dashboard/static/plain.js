// For pages that have nothing to ask for but the state of the trader.

import { keep } from "./head.js";

keep(async () => null);
