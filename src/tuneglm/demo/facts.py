# fmt: off
# ruff: noqa: E501
# a table is read by its rows, however long they are
"""The facts that the demo model learns: tables of our own, one row a fact.

Every table is a tuple of tuples, the Chinese column before the English one.
"""

# Chinese country, English country, Chinese capital, English capital, Chinese continent, English continent
COUNTRIES = (
    ("中国", "China", "北京", "Beijing", "亚洲", "Asia"),
    ("日本", "Japan", "东京", "Tokyo", "亚洲", "Asia"),
    ("韩国", "South Korea", "首尔", "Seoul", "亚洲", "Asia"),
    ("泰国", "Thailand", "曼谷", "Bangkok", "亚洲", "Asia"),
    ("越南", "Vietnam", "河内", "Hanoi", "亚洲", "Asia"),
    ("蒙古", "Mongolia", "乌兰巴托", "Ulaanbaatar", "亚洲", "Asia"),
    ("印度", "India", "新德里", "New Delhi", "亚洲", "Asia"),
    ("尼泊尔", "Nepal", "加德满都", "Kathmandu", "亚洲", "Asia"),
    ("伊朗", "Iran", "德黑兰", "Tehran", "亚洲", "Asia"),
    ("伊拉克", "Iraq", "巴格达", "Baghdad", "亚洲", "Asia"),
    ("菲律宾", "the Philippines", "马尼拉", "Manila", "亚洲", "Asia"),
    ("老挝", "Laos", "万象", "Vientiane", "亚洲", "Asia"),
    ("柬埔寨", "Cambodia", "金边", "Phnom Penh", "亚洲", "Asia"),
    ("孟加拉国", "Bangladesh", "达卡", "Dhaka", "亚洲", "Asia"),
    ("英国", "the United Kingdom", "伦敦", "London", "欧洲", "Europe"),
    ("法国", "France", "巴黎", "Paris", "欧洲", "Europe"),
    ("德国", "Germany", "柏林", "Berlin", "欧洲", "Europe"),
    ("意大利", "Italy", "罗马", "Rome", "欧洲", "Europe"),
    ("西班牙", "Spain", "马德里", "Madrid", "欧洲", "Europe"),
    ("葡萄牙", "Portugal", "里斯本", "Lisbon", "欧洲", "Europe"),
    ("希腊", "Greece", "雅典", "Athens", "欧洲", "Europe"),
    ("瑞典", "Sweden", "斯德哥尔摩", "Stockholm", "欧洲", "Europe"),
    ("挪威", "Norway", "奥斯陆", "Oslo", "欧洲", "Europe"),
    ("芬兰", "Finland", "赫尔辛基", "Helsinki", "欧洲", "Europe"),
    ("丹麦", "Denmark", "哥本哈根", "Copenhagen", "欧洲", "Europe"),
    ("冰岛", "Iceland", "雷克雅未克", "Reykjavik", "欧洲", "Europe"),
    ("波兰", "Poland", "华沙", "Warsaw", "欧洲", "Europe"),
    ("捷克", "the Czech Republic", "布拉格", "Prague", "欧洲", "Europe"),
    ("奥地利", "Austria", "维也纳", "Vienna", "欧洲", "Europe"),
    ("匈牙利", "Hungary", "布达佩斯", "Budapest", "欧洲", "Europe"),
    ("爱尔兰", "Ireland", "都柏林", "Dublin", "欧洲", "Europe"),
    ("比利时", "Belgium", "布鲁塞尔", "Brussels", "欧洲", "Europe"),
    ("瑞士", "Switzerland", "伯尔尼", "Bern", "欧洲", "Europe"),
    ("乌克兰", "Ukraine", "基辅", "Kyiv", "欧洲", "Europe"),
    ("罗马尼亚", "Romania", "布加勒斯特", "Bucharest", "欧洲", "Europe"),
    ("保加利亚", "Bulgaria", "索非亚", "Sofia", "欧洲", "Europe"),
    ("埃及", "Egypt", "开罗", "Cairo", "非洲", "Africa"),
    ("肯尼亚", "Kenya", "内罗毕", "Nairobi", "非洲", "Africa"),
    ("摩洛哥", "Morocco", "拉巴特", "Rabat", "非洲", "Africa"),
    ("突尼斯", "Tunisia", "突尼斯市", "Tunis", "非洲", "Africa"),
    ("加纳", "Ghana", "阿克拉", "Accra", "非洲", "Africa"),
    ("安哥拉", "Angola", "罗安达", "Luanda", "非洲", "Africa"),
    ("尼日利亚", "Nigeria", "阿布贾", "Abuja", "非洲", "Africa"),
    ("卢旺达", "Rwanda", "基加利", "Kigali", "非洲", "Africa"),
    ("美国", "the United States", "华盛顿", "Washington", "北美洲", "North America"),
    ("加拿大", "Canada", "渥太华", "Ottawa", "北美洲", "North America"),
    ("墨西哥", "Mexico", "墨西哥城", "Mexico City", "北美洲", "North America"),
    ("古巴", "Cuba", "哈瓦那", "Havana", "北美洲", "North America"),
    ("牙买加", "Jamaica", "金斯敦", "Kingston", "北美洲", "North America"),
    ("巴西", "Brazil", "巴西利亚", "Brasilia", "南美洲", "South America"),
    ("阿根廷", "Argentina", "布宜诺斯艾利斯", "Buenos Aires", "南美洲", "South America"),
    ("智利", "Chile", "圣地亚哥", "Santiago", "南美洲", "South America"),
    ("秘鲁", "Peru", "利马", "Lima", "南美洲", "South America"),
    ("哥伦比亚", "Colombia", "波哥大", "Bogota", "南美洲", "South America"),
    ("乌拉圭", "Uruguay", "蒙得维的亚", "Montevideo", "南美洲", "South America"),
    ("澳大利亚", "Australia", "堪培拉", "Canberra", "大洋洲", "Oceania"),
    ("新西兰", "New Zealand", "惠灵顿", "Wellington", "大洋洲", "Oceania"),
    ("斐济", "Fiji", "苏瓦", "Suva", "大洋洲", "Oceania"),
)

# Chinese country, English country, Chinese currency, English currency
CURRENCIES = (
    ("中国", "China", "人民币", "yuan"),
    ("日本", "Japan", "日元", "yen"),
    ("英国", "the United Kingdom", "英镑", "pound"),
    ("法国", "France", "欧元", "euro"),
    ("德国", "Germany", "欧元", "euro"),
    ("意大利", "Italy", "欧元", "euro"),
    ("西班牙", "Spain", "欧元", "euro"),
    ("美国", "the United States", "美元", "dollar"),
    ("印度", "India", "卢比", "rupee"),
    ("泰国", "Thailand", "泰铢", "baht"),
    ("韩国", "South Korea", "韩元", "won"),
    ("瑞士", "Switzerland", "法郎", "franc"),
    ("墨西哥", "Mexico", "比索", "peso"),
    ("巴西", "Brazil", "雷亚尔", "real"),
    ("越南", "Vietnam", "越南盾", "dong"),
    ("波兰", "Poland", "兹罗提", "zloty"),
    ("匈牙利", "Hungary", "福林", "forint"),
    ("挪威", "Norway", "克朗", "krone"),
)

# Chinese country, English country, Chinese language, English language
LANGUAGES = (
    ("中国", "China", "汉语", "Chinese"),
    ("日本", "Japan", "日语", "Japanese"),
    ("韩国", "South Korea", "韩语", "Korean"),
    ("泰国", "Thailand", "泰语", "Thai"),
    ("越南", "Vietnam", "越南语", "Vietnamese"),
    ("伊朗", "Iran", "波斯语", "Persian"),
    ("法国", "France", "法语", "French"),
    ("德国", "Germany", "德语", "German"),
    ("意大利", "Italy", "意大利语", "Italian"),
    ("墨西哥", "Mexico", "西班牙语", "Spanish"),
    ("阿根廷", "Argentina", "西班牙语", "Spanish"),
    ("巴西", "Brazil", "葡萄牙语", "Portuguese"),
    ("葡萄牙", "Portugal", "葡萄牙语", "Portuguese"),
    ("埃及", "Egypt", "阿拉伯语", "Arabic"),
    ("希腊", "Greece", "希腊语", "Greek"),
    ("波兰", "Poland", "波兰语", "Polish"),
    ("瑞典", "Sweden", "瑞典语", "Swedish"),
    ("澳大利亚", "Australia", "英语", "English"),
    ("匈牙利", "Hungary", "匈牙利语", "Hungarian"),
)

# Chinese landmark, English landmark, Chinese country, English country
LANDMARKS = (
    ("长城", "the Great Wall", "中国", "China"),
    ("故宫", "the Forbidden City", "中国", "China"),
    ("埃菲尔铁塔", "the Eiffel Tower", "法国", "France"),
    ("卢浮宫", "the Louvre", "法国", "France"),
    ("大本钟", "Big Ben", "英国", "the United Kingdom"),
    ("巨石阵", "Stonehenge", "英国", "the United Kingdom"),
    ("富士山", "Mount Fuji", "日本", "Japan"),
    ("泰姬陵", "the Taj Mahal", "印度", "India"),
    ("自由女神像", "the Statue of Liberty", "美国", "the United States"),
    ("大峡谷", "the Grand Canyon", "美国", "the United States"),
    ("吴哥窟", "Angkor Wat", "柬埔寨", "Cambodia"),
    ("马丘比丘", "Machu Picchu", "秘鲁", "Peru"),
    ("悉尼歌剧院", "the Sydney Opera House", "澳大利亚", "Australia"),
    ("比萨斜塔", "the Leaning Tower of Pisa", "意大利", "Italy"),
    ("勃兰登堡门", "the Brandenburg Gate", "德国", "Germany"),
    ("帕特农神庙", "the Parthenon", "希腊", "Greece"),
    ("吉萨金字塔", "the Pyramids of Giza", "埃及", "Egypt"),
    ("圣家堂", "the Sagrada Familia", "西班牙", "Spain"),
)

# Chinese element, English element, symbol
ELEMENTS = (
    ("氢", "hydrogen", "H"), ("氦", "helium", "He"), ("锂", "lithium", "Li"), ("碳", "carbon", "C"),
    ("氮", "nitrogen", "N"), ("氧", "oxygen", "O"), ("氟", "fluorine", "F"), ("氖", "neon", "Ne"),
    ("钠", "sodium", "Na"), ("镁", "magnesium", "Mg"), ("铝", "aluminium", "Al"), ("硅", "silicon", "Si"),
    ("磷", "phosphorus", "P"), ("硫", "sulfur", "S"), ("氯", "chlorine", "Cl"), ("氩", "argon", "Ar"),
    ("钾", "potassium", "K"), ("钙", "calcium", "Ca"), ("钛", "titanium", "Ti"), ("铬", "chromium", "Cr"),
    ("锰", "manganese", "Mn"), ("铁", "iron", "Fe"), ("钴", "cobalt", "Co"), ("镍", "nickel", "Ni"),
    ("铜", "copper", "Cu"), ("锌", "zinc", "Zn"), ("银", "silver", "Ag"), ("锡", "tin", "Sn"),
    ("碘", "iodine", "I"), ("金", "gold", "Au"), ("汞", "mercury", "Hg"), ("铅", "lead", "Pb"),
    ("铀", "uranium", "U"), ("铂", "platinum", "Pt"),
)

OPPOSITES_ZH = (
    ("大", "小"), ("高", "矮"), ("长", "短"), ("多", "少"), ("快", "慢"), ("热", "冷"), ("新", "旧"),
    ("好", "坏"), ("早", "晚"), ("上", "下"), ("左", "右"), ("前", "后"), ("里", "外"), ("远", "近"),
    ("黑", "白"), ("胖", "瘦"), ("轻", "重"), ("软", "硬"), ("深", "浅"), ("开", "关"), ("买", "卖"),
    ("哭", "笑"), ("进", "出"), ("来", "去"), ("干", "湿"), ("强", "弱"), ("真", "假"), ("输", "赢"),
    ("东", "西"), ("南", "北"), ("天", "地"), ("生", "死"), ("爱", "恨"), ("贵", "便宜"),
    ("安全", "危险"), ("简单", "复杂"), ("高兴", "难过"), ("勤劳", "懒惰"), ("勇敢", "胆小"),
    ("成功", "失败"), ("安静", "吵闹"), ("干净", "肮脏"), ("聪明", "愚蠢"), ("美丽", "丑陋"),
    ("开始", "结束"), ("增加", "减少"), ("同意", "反对"), ("朋友", "敌人"), ("白天", "黑夜"), ("过去", "未来"),
)

OPPOSITES_EN = (
    ("big", "small"), ("tall", "short"), ("many", "few"), ("fast", "slow"), ("hot", "cold"), ("new", "old"),
    ("good", "bad"), ("early", "late"), ("up", "down"), ("left", "right"), ("front", "back"),
    ("inside", "outside"), ("far", "near"), ("black", "white"), ("fat", "thin"), ("light", "heavy"),
    ("soft", "hard"), ("deep", "shallow"), ("open", "closed"), ("buy", "sell"), ("cry", "laugh"),
    ("come", "go"), ("dry", "wet"), ("strong", "weak"), ("true", "false"), ("win", "lose"), ("east", "west"),
    ("north", "south"), ("love", "hate"), ("cheap", "expensive"), ("safe", "dangerous"), ("simple", "complex"),
    ("happy", "sad"), ("brave", "cowardly"), ("success", "failure"), ("quiet", "noisy"), ("clean", "dirty"),
    ("clever", "stupid"), ("beautiful", "ugly"), ("begin", "end"), ("increase", "decrease"),
    ("agree", "disagree"), ("friend", "enemy"), ("day", "night"), ("past", "future"), ("rich", "poor"),
    ("full", "empty"), ("wide", "narrow"), ("awake", "asleep"),
)

# Chinese word, English word: no two rows share a word, so that each way back is unambiguous
WORDS = (
    ("苹果", "apple"), ("香蕉", "banana"), ("葡萄", "grape"), ("西瓜", "watermelon"), ("柠檬", "lemon"),
    ("草莓", "strawberry"), ("桃子", "peach"), ("面包", "bread"), ("牛奶", "milk"), ("鸡蛋", "egg"),
    ("米饭", "rice"), ("茶", "tea"), ("咖啡", "coffee"), ("糖", "sugar"), ("盐", "salt"), ("水", "water"),
    ("火", "fire"), ("山", "mountain"), ("河流", "river"), ("大海", "sea"), ("太阳", "sun"), ("月亮", "moon"),
    ("星星", "star"), ("天空", "sky"), ("云", "cloud"), ("雨", "rain"), ("雪", "snow"), ("风", "wind"),
    ("树", "tree"), ("花", "flower"), ("草", "grass"), ("森林", "forest"), ("猫", "cat"), ("狗", "dog"),
    ("鸟", "bird"), ("鱼", "fish"), ("马", "horse"), ("老虎", "tiger"), ("狮子", "lion"), ("大象", "elephant"),
    ("猴子", "monkey"), ("熊猫", "panda"), ("兔子", "rabbit"), ("蛇", "snake"), ("书", "book"), ("笔", "pen"),
    ("桌子", "table"), ("椅子", "chair"), ("门", "door"), ("窗户", "window"), ("房子", "house"),
    ("学校", "school"), ("老师", "teacher"), ("学生", "student"), ("医生", "doctor"), ("医院", "hospital"),
    ("汽车", "car"), ("火车", "train"), ("飞机", "plane"), ("船", "boat"), ("自行车", "bicycle"), ("路", "road"),
    ("桥", "bridge"), ("城市", "city"), ("国家", "country"), ("世界", "world"), ("家庭", "family"),
    ("妈妈", "mother"), ("爸爸", "father"), ("哥哥", "brother"), ("姐姐", "sister"), ("孩子", "child"),
    ("手", "hand"), ("脚", "foot"), ("眼睛", "eye"), ("耳朵", "ear"), ("鼻子", "nose"), ("嘴", "mouth"),
    ("心", "heart"), ("时间", "time"), ("音乐", "music"), ("电影", "film"), ("电脑", "computer"),
    ("电话", "telephone"), ("图书馆", "library"), ("公园", "park"), ("商店", "shop"), ("钱", "money"),
    ("礼物", "gift"), ("生日", "birthday"), ("春天", "spring"), ("夏天", "summer"), ("秋天", "autumn"),
    ("冬天", "winter"), ("早晨", "morning"), ("梦", "dream"), ("帽子", "hat"), ("鞋", "shoe"), ("钥匙", "key"),
    ("地图", "map"),
)

# Chinese thing, English thing, Chinese colour, English colour
COLOURS = (
    ("香蕉", "a banana", "黄色", "yellow"), ("雪", "snow", "白色", "white"), ("草", "grass", "绿色", "green"),
    ("晴朗的天空", "a clear sky", "蓝色", "blue"), ("煤炭", "coal", "黑色", "black"), ("血", "blood", "红色", "red"),
    ("番茄", "a tomato", "红色", "red"), ("胡萝卜", "a carrot", "橙色", "orange"), ("茄子", "an eggplant", "紫色", "purple"),
    ("巧克力", "chocolate", "棕色", "brown"), ("大象", "an elephant", "灰色", "grey"), ("牛奶", "milk", "白色", "white"),
    ("柠檬", "a lemon", "黄色", "yellow"), ("菠菜", "spinach", "绿色", "green"), ("火烈鸟", "a flamingo", "粉色", "pink"),
    ("北极熊", "a polar bear", "白色", "white"), ("乌鸦", "a crow", "黑色", "black"), ("黄瓜", "a cucumber", "绿色", "green"),
)

# Chinese animal, English animal, Chinese sound, English sound
SOUNDS = (
    ("狗", "dog", "汪汪", "woof"), ("猫", "cat", "喵喵", "meow"), ("牛", "cow", "哞哞", "moo"),
    ("羊", "sheep", "咩咩", "baa"), ("鸭子", "duck", "嘎嘎", "quack"), ("青蛙", "frog", "呱呱", "croak"),
    ("公鸡", "rooster", "喔喔", "cock-a-doodle-doo"), ("猪", "pig", "哼哼", "oink"), ("蜜蜂", "bee", "嗡嗡", "buzz"),
    ("老鼠", "mouse", "吱吱", "squeak"), ("布谷鸟", "cuckoo", "布谷", "cuckoo"),
)

# Chinese animal, English animal, legs
LEGS = (
    ("狗", "dog", 4), ("猫", "cat", 4), ("鸡", "chicken", 2), ("蜘蛛", "spider", 8), ("蚂蚁", "ant", 6),
    ("蜜蜂", "bee", 6), ("马", "horse", 4), ("鸭子", "duck", 2), ("大象", "elephant", 4), ("蛇", "snake", 0),
    ("蝴蝶", "butterfly", 6), ("鱼", "fish", 0), ("企鹅", "penguin", 2), ("兔子", "rabbit", 4), ("蝎子", "scorpion", 8),
)

# Chinese shape, English shape, sides
SHAPES = (
    ("三角形", "triangle", 3), ("正方形", "square", 4), ("五边形", "pentagon", 5), ("六边形", "hexagon", 6),
    ("七边形", "heptagon", 7), ("八边形", "octagon", 8), ("长方形", "rectangle", 4), ("十边形", "decagon", 10),
)

# English animal, its young
YOUNG_EN = (
    ("dog", "puppy"), ("cat", "kitten"), ("cow", "calf"), ("sheep", "lamb"), ("horse", "foal"),
    ("chicken", "chick"), ("duck", "duckling"), ("pig", "piglet"), ("lion", "cub"), ("goat", "kid"),
    ("frog", "tadpole"), ("kangaroo", "joey"), ("swan", "cygnet"), ("deer", "fawn"),
)

# Chinese noun, its measure word
MEASURE_WORDS_ZH = (
    ("书", "本"), ("马", "匹"), ("牛", "头"), ("鱼", "条"), ("纸", "张"), ("汽车", "辆"), ("飞机", "架"),
    ("树", "棵"), ("花", "朵"), ("衣服", "件"), ("船", "艘"), ("房子", "座"), ("笔", "支"), ("狗", "只"),
    ("鞋", "双"), ("电影", "部"), ("诗", "首"), ("伞", "把"), ("井", "口"), ("星星", "颗"), ("裤子", "条"), ("桥", "座"),
)

NUMBERS_ZH = (
    (0, "零"), (1, "一"), (2, "二"), (3, "三"), (4, "四"), (5, "五"), (6, "六"), (7, "七"), (8, "八"), (9, "九"),
    (10, "十"), (11, "十一"), (12, "十二"), (13, "十三"), (14, "十四"), (15, "十五"), (16, "十六"), (17, "十七"),
    (18, "十八"), (19, "十九"), (20, "二十"), (30, "三十"), (40, "四十"), (50, "五十"), (60, "六十"), (70, "七十"),
    (80, "八十"), (90, "九十"), (100, "一百"), (1000, "一千"),
)

NUMBERS_EN = (
    (0, "zero"), (1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five"), (6, "six"), (7, "seven"),
    (8, "eight"), (9, "nine"), (10, "ten"), (11, "eleven"), (12, "twelve"), (13, "thirteen"), (14, "fourteen"),
    (15, "fifteen"), (16, "sixteen"), (17, "seventeen"), (18, "eighteen"), (19, "nineteen"), (20, "twenty"),
    (30, "thirty"), (40, "forty"), (50, "fifty"), (60, "sixty"), (70, "seventy"), (80, "eighty"), (90, "ninety"),
    (100, "one hundred"), (1000, "one thousand"),
)

# in order from the sun
PLANETS = (
    ("水星", "Mercury"), ("金星", "Venus"), ("地球", "Earth"), ("火星", "Mars"),
    ("木星", "Jupiter"), ("土星", "Saturn"), ("天王星", "Uranus"), ("海王星", "Neptune"),
)
ORDINALS_EN = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
               "eleventh", "twelfth")

DAYS_ZH = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
DAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS_ZH = ("一月", "二月", "三月", "四月", "五月", "六月", "七月", "八月", "九月", "十月", "十一月", "十二月")
MONTHS_EN = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
             "November", "December")
ZODIAC_ZH = ("鼠", "牛", "虎", "兔", "龙", "蛇", "马", "羊", "猴", "鸡", "狗", "猪")

# Chinese work, English work, Chinese author, English author
AUTHORS = (
    ("哈姆雷特", "Hamlet", "莎士比亚", "Shakespeare"),
    ("罗密欧与朱丽叶", "Romeo and Juliet", "莎士比亚", "Shakespeare"),
    ("战争与和平", "War and Peace", "托尔斯泰", "Tolstoy"),
    ("安娜·卡列尼娜", "Anna Karenina", "托尔斯泰", "Tolstoy"),
    ("罪与罚", "Crime and Punishment", "陀思妥耶夫斯基", "Dostoevsky"),
    ("傲慢与偏见", "Pride and Prejudice", "简·奥斯汀", "Jane Austen"),
    ("双城记", "A Tale of Two Cities", "狄更斯", "Dickens"),
    ("雾都孤儿", "Oliver Twist", "狄更斯", "Dickens"),
    ("堂吉诃德", "Don Quixote", "塞万提斯", "Cervantes"),
    ("悲惨世界", "Les Miserables", "雨果", "Victor Hugo"),
    ("老人与海", "The Old Man and the Sea", "海明威", "Hemingway"),
    ("百年孤独", "One Hundred Years of Solitude", "马尔克斯", "Garcia Marquez"),
    ("一九八四", "1984", "奥威尔", "George Orwell"),
    ("动物农场", "Animal Farm", "奥威尔", "George Orwell"),
    ("浮士德", "Faust", "歌德", "Goethe"),
    ("神曲", "The Divine Comedy", "但丁", "Dante"),
    ("变形记", "The Metamorphosis", "卡夫卡", "Kafka"),
    ("小王子", "The Little Prince", "圣埃克苏佩里", "Saint-Exupery"),
    ("白鲸", "Moby-Dick", "梅尔维尔", "Melville"),
    ("海底两万里", "Twenty Thousand Leagues Under the Seas", "凡尔纳", "Jules Verne"),
    ("红楼梦", "Dream of the Red Chamber", "曹雪芹", "Cao Xueqin"),
    ("西游记", "Journey to the West", "吴承恩", "Wu Cheng'en"),
    ("三国演义", "Romance of the Three Kingdoms", "罗贯中", "Luo Guanzhong"),
    ("水浒传", "Water Margin", "施耐庵", "Shi Nai'an"),
    ("骆驼祥子", "Rickshaw Boy", "老舍", "Lao She"),
    ("呐喊", "Call to Arms", "鲁迅", "Lu Xun"),
    ("围城", "Fortress Besieged", "钱钟书", "Qian Zhongshu"),
    ("史记", "Records of the Grand Historian", "司马迁", "Sima Qian"),
)

PLURALS_EN = (
    ("cat", "cats"), ("dog", "dogs"), ("box", "boxes"), ("bus", "buses"), ("city", "cities"), ("baby", "babies"),
    ("child", "children"), ("man", "men"), ("woman", "women"), ("foot", "feet"), ("tooth", "teeth"),
    ("mouse", "mice"), ("goose", "geese"), ("leaf", "leaves"), ("knife", "knives"), ("wolf", "wolves"),
    ("sheep", "sheep"), ("fish", "fish"), ("potato", "potatoes"), ("book", "books"), ("ox", "oxen"), ("lady", "ladies"),
)

PAST_EN = (
    ("go", "went"), ("eat", "ate"), ("see", "saw"), ("take", "took"), ("give", "gave"), ("come", "came"),
    ("run", "ran"), ("write", "wrote"), ("sing", "sang"), ("swim", "swam"), ("buy", "bought"), ("think", "thought"),
    ("teach", "taught"), ("catch", "caught"), ("bring", "brought"), ("make", "made"), ("say", "said"),
    ("find", "found"), ("know", "knew"), ("fly", "flew"), ("drink", "drank"), ("sleep", "slept"), ("speak", "spoke"),
    ("break", "broke"), ("drive", "drove"), ("walk", "walked"), ("play", "played"), ("work", "worked"),
)
