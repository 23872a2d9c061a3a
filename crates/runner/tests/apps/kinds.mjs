// One server of the kind in KIND, as an ES module. Answers "ok", and at once
// except for /slow.
import { start } from './kinds.cjs';
start();
